"""The product suite on kind, for machines with a Docker engine: `make kind-e2e`.

The node of `tools.node` has the smallest CNI plugin that there is. kind's is another one, which enforces
NetworkPolicies, with kubeadm's settings and kube-proxy on iptables: what passes on both depends on neither.

    commands   command lines: pure data        session    image, cluster, places outside, tests, in order
    engine     is there a Docker engine        __main__   the command line

A place outside the cluster is a container beside the node, on Docker's network `kind`, that only sleeps. Docker gives
its network namespace an address and a cable, and `ip netns attach` gives it a name, so the tests use it as any other.
"""
