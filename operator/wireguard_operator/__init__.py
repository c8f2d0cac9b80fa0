"""A Kubernetes operator that runs WireGuard for Internet service providers.

The folder names are the parts: ``api`` holds the kinds, ``domain`` the pure decisions, ``kube`` the
Kubernetes client, ``controller`` and ``agent`` the two long-running processes, ``cli`` what people type.
"""

from importlib.metadata import version

__version__ = version("wireguard-operator")
