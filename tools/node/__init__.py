"""A real node beside a real control plane: scheduler, kubelet, containerd, CNI bridge and kube-proxy.

What a pod may do (devices, capabilities, sysctls) and how packets reach it is decided by these programs and the kernel,
so only they can tell whether a server pod works. They change a machine in many places, therefore they run in namespaces
of their own, where all of it vanishes with the last process. A command in there finds the cluster by KUBECONFIG, and
what else tests need by the variables of `tools.suite`:

    python -m tools.node pytest tests/node
    python -m tools.node bash

    isolation   outside: cgroups, and the step into the namespaces
    inside      the first process in there: file systems, loopback, reaping
    session     the second one: control plane, node, and the command
    network     cables from the node to a subscriber and to the internet
    commands    command lines and configuration files    node    the node itself
"""

from tools.node.isolation import isolated
from tools.node.network import INTERNET, SUBSCRIBER, Site
from tools.node.node import Node, NodeError, plane_for_node

__all__ = ["INTERNET", "SUBSCRIBER", "Node", "NodeError", "Site", "isolated", "plane_for_node"]
