"""Devices that make their own key, the RouterOS script, and the log of a peer's connections."""
