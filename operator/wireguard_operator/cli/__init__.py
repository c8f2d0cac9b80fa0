"""Commands for people: joining a host, printing a client's QR code, the CRDs."""
