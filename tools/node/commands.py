"""Command lines and configuration of the node's processes: pure data, one reason per unusual setting."""

import json
from pathlib import Path
from typing import Any

import yaml

from tools.node.network import SUBSCRIBER

NODE_NAME = "node1"
POD_CIDRS = ("10.244.0.0/24", "fd00:244::/64")
SERVICE_CIDRS = ("10.96.0.0/16", "fd00:96::/112")
ALLOWED_SYSCTLS = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")
"""Not in kubelet's list of safe ones, so a pod may ask for them only where kubelet was told. Others change nothing."""

APISERVER_FLAGS = (
    # Later flags win: pods reach the API server by its Service, so it needs an address that is not loopback.
    "--bind-address=0.0.0.0",
    f"--advertise-address={SUBSCRIBER.node_address}",
    "--endpoint-reconciler-type=lease",
    f"--service-cluster-ip-range={','.join(SERVICE_CIDRS)}",
)


def containerd_config(directory: Path, pause_image: str) -> str:
    """Return containerd's configuration."""
    # Version 2 is understood by every containerd since 1.3. JSON strings are TOML strings.
    cri = '[plugins."io.containerd.grpc.v1.cri"'
    return f"""\
version = 2
root = {json.dumps(str(directory / "root"))}
state = {json.dumps(str(directory / "state"))}
[grpc]
  address = {json.dumps(str(directory / "containerd.sock"))}
{cri}]
  sandbox_image = {json.dumps(pause_image)}
  # Without CAP_SYS_RESOURCE (a machine in a container) a lower value cannot be set, and no sandbox starts.
  restrict_oom_score_adj = true
{cri}.cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = {json.dumps(str(directory / "cni"))}
{cri}.containerd]
  snapshotter = "overlayfs"
{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""


def cni_config() -> str:
    """Return the pods' network: one bridge, both families, the way out masqueraded."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": network}] for network in POD_CIDRS],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    }
    bridge = {
        "type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": ipam,
    }  # fmt: skip
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}, indent=2)


def kubelet_config(directory: Path, authority: Path, containerd_socket: Path, cgroup: str) -> str:
    """Return kubelet's configuration."""
    return _yaml(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority)},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{containerd_socket}",
            "cgroupDriver": "cgroupfs",  # systemd may not run here
            "cgroupRoot": cgroup,
            "enforceNodeAllocatable": ["pods"],
            "failSwapOn": False,
            "clusterDomain": "cluster.local",
            "resolvConf": "",  # there is no DNS server to tell pods about
            "allowedUnsafeSysctls": list(ALLOWED_SYSCTLS),
            # Somebody's disk that is nearly full must not keep pods from running, and images are never to be collected.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "podLogsDir": str(directory / "pod-logs"),
            "volumePluginDir": str(directory / "plugins"),
        }
    )


def kubelet(binary: Path, directory: Path, kubeconfig: Path, node_addresses: tuple[str, str]) -> list[str]:
    """Return kubelet's command line."""
    return [
        str(binary),
        f"--config={directory / 'kubelet.yaml'}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={','.join(node_addresses)}",
        f"--root-dir={directory / 'kubelet'}",
        "--v=2",
    ]


def proxy_config(kubeconfig: Path) -> str:
    """Return kube-proxy's configuration."""
    return _yaml(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "hostnameOverride": NODE_NAME,
            "mode": "nftables",
            "clusterCIDR": ",".join(POD_CIDRS),
            "detectLocalMode": "ClusterCIDR",
            "conntrack": {"maxPerCore": 0, "min": 0},  # the table's size is the machine's, and not ours to set
            "nftables": {"minSyncPeriod": "100ms"},  # of one second: tests wait for Services
        }
    )


def proxy(binary: Path, config: Path) -> list[str]:
    """Return kube-proxy's command line."""
    return [str(binary), f"--config={config}"]


def scheduler(binary: Path, kubeconfig: Path) -> list[str]:
    """Return kube-scheduler's command line; it serves nothing and is alone."""
    return [
        str(binary),
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
    ]


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)
