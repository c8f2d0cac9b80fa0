"""A real Kubernetes control plane on loopback, for tests, the demo and development.

Fakes of the API server agree with whatever their author believed. The operator's promises are about the
real one: CEL validation, server-side apply, field selectors, watch bookmarks, 409 and 410 answers. So the
tests talk to a real kube-apiserver with a real etcd. No container runtime and no image registry is needed:
the binaries come from pinned Go modules (`tools/*/go.mod`) when nothing better is at hand.

    versions   what is pinned                    processes  start, identify and end child processes
    golang     a Go toolchain                    pki        certificates and the service-account key
    binaries   find or build one binary          plane      one control plane in one state directory
    locks      one at a time, across processes   shared     one plane for many test workers
    paths      where things live                 __main__   the command line

Linux only: process identity comes from /proc.
"""

from tools.controlplane.binaries import find_or_build
from tools.controlplane.plane import ControlPlane, ControlPlaneError
from tools.controlplane.shared import shared_control_plane

__all__ = ["ControlPlane", "ControlPlaneError", "find_or_build", "shared_control_plane"]
