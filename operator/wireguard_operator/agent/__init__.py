"""The agent: runs beside a WireGuard device, holds no Kubernetes credentials, does what the controller says.

It keeps the last desired state on disk, so that after a restart of the host the tunnels come back with the
controller away.
"""
