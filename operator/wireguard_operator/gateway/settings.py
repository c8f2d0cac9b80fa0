"""What can be set about the gateway."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Options of ``wireguard-operator gateway``. Times are in seconds."""

    kubeconfig: str | None = None
    """None: the pod's service account, else the user's kubeconfig."""
    namespace: str = "wireguard-system"
    """Where the gateway keeps what is its own, e.g. the ServiceAccount of portal tokens."""
    watch_namespaces: tuple[str, ...] = ()
    """Tenants to serve; empty: all. Fewer need fewer rights."""
    host: str = ""
    """Address to listen on; empty: all."""
    port: int = 8080
    """Port of the API, the portal and the probes."""
    metrics_port: int = 0
    """Port of /metrics; 0: none."""
    tls_certificate: str = ""
    """File with the certificate chain in PEM; empty: plain HTTP, for an Ingress in front."""
    tls_key: str = ""
    """File with the certificate's key in PEM."""
    public_url: str = ""
    """How the gateway is reached from outside, e.g. https://vpn.example.net; empty: as the request says."""
    trusted_proxies: str = ""
    """Addresses or networks, comma-separated, whose X-Forwarded-For and -Proto are believed; * is everybody."""
    audience: str = "wireguard-gateway"
    """The audience that tokens of callers must be made for."""
    oidc_issuers: tuple[str, ...] = ()
    """Issuers of OIDC tokens that the API server itself is set up to accept; empty: ServiceAccount tokens only."""
    oidc_username_prefix: str = "oidc:"
    """What the API server puts before the names of OIDC users; others are refused."""
    create_wait: float = 5.0
    """How long a creation waits for the peer to be on the device before it is answered 202."""
    portal_brand: str = ""
    """Folder with the provider's looks and words for the pages; empty: none."""
    anonymous_rate: float = 5.0
    """Requests a second, in the long run, of one client address on paths without a caller."""
    anonymous_burst: int = 20
    """How many of them may come at once."""
