"""The command lines of a plane's processes: pure data, one reason per unusual flag.

Beside the API server runs kube-controller-manager, without which no namespace ever finishes terminating and nothing
collects garbage. kube-scheduler, kubelet and kube-proxy are pinned but not started yet: there are no nodes, so no pod
ever runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.controlplane.pki import KeyPair

LOOPBACK = "127.0.0.1"
SERVICE_CIDR = "127.96.0.0/16"
"""Without kube-proxy nobody answers on a Service's address. One of loopback keeps whoever tries on this machine, where
it is refused at once."""
SERVER_NAMES = (
    LOOPBACK,
    "10.96.0.1",  # the kubernetes Service as pods see it, where there is a node
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""


@dataclass(frozen=True)
class Ports:
    """The loopback ports of one plane."""

    etcd: int
    etcd_peer: int
    apiserver: int


@dataclass(frozen=True)
class ApiserverFiles:
    """What kube-apiserver reads from disk."""

    authority: Path
    server: KeyPair
    admin: KeyPair
    service_account_private: Path
    service_account_public: Path


@dataclass(frozen=True)
class Audit:
    """Where every request is logged (metadata only), and the policy file that says so."""

    policy: Path
    log: Path


def etcd(binary: Path, data: Path, ports: Ports) -> list[str]:
    """Return the command line of etcd: a cluster of one."""
    client, peer = f"http://{LOOPBACK}:{ports.etcd}", f"http://{LOOPBACK}:{ports.etcd_peer}"
    return [
        str(binary),
        "--name=dev",
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=dev={peer}",
        "--unsafe-no-fsync",  # the data need not survive a power cut; without fsync writes cost a fraction
        "--log-level=warn",
    ]


def apiserver(
    binary: Path, files: ApiserverFiles, ports: Ports, audit: Audit | None = None, extra: Sequence[str] = ()
) -> list[str]:
    """Return the command line of kube-apiserver."""
    command = [
        str(binary),
        f"--etcd-servers=http://{LOOPBACK}:{ports.etcd}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={ports.apiserver}",
        f"--tls-cert-file={files.server.certificate}",
        f"--tls-private-key-file={files.server.key}",
        f"--client-ca-file={files.authority}",
        f"--service-account-key-file={files.service_account_public}",
        f"--service-account-signing-key-file={files.service_account_private}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=Node,RBAC",  # as in real clusters: missing RBAC rules must fail in tests, too
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--allow-privileged=true",
        "--endpoint-reconciler-type=none",  # a loopback address is not a valid endpoint of the Service
        "--kubelet-preferred-address-types=InternalIP",  # node names do not resolve here
        f"--kubelet-client-certificate={files.admin.certificate}",
        f"--kubelet-client-key={files.admin.key}",
    ]
    if audit is not None:
        command += [f"--audit-policy-file={audit.policy}", f"--audit-log-path={audit.log}"]
    return [*command, *extra]


def controller_manager(binary: Path, kubeconfig: Path, files: ApiserverFiles) -> list[str]:
    """Return the command line of kube-controller-manager; it serves nothing itself."""
    return [
        str(binary),
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",  # it is alone
        "--secure-port=0",
        f"--root-ca-file={files.authority}",
        f"--service-account-private-key-file={files.service_account_private}",
    ]
