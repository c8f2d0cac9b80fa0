"""Command lines of Docker, kind and ip: pure data, one reason per unusual option."""

from pathlib import Path

CLUSTER = "wireguard-operator-e2e"
"""The cluster's name; those of containers and namespaces begin with it."""
NODE_IMAGE = "kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d"
"""Of the notes of the kind release that go.mod pins: kind supports an image only with the release that made it."""
NETWORK = "kind"
"""The Docker network on which kind puts its nodes."""
ENVIRONMENT = {
    # kind would take podman or nerdctl, too, and the places outside are Docker's.
    "KIND_EXPERIMENTAL_PROVIDER": "docker",
    # From Docker's containerd image store, kind gets an index without the attestations that it names, and refuses it.
    "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
}
"""Set for every command."""


def site(name: str) -> str:
    """Return the name of a place outside, as a container and as a network namespace."""
    return f"{CLUSTER}-{name}"


def engine() -> list[str]:
    """Ask for the engine's version: fails without an engine, where `docker --version` does not."""
    return ["docker", "version", "--format", "{{.Server.Version}}"]


def build(image: str, repository: Path) -> list[str]:
    """Build the image as anybody with Docker does."""
    return ["docker", "build", "--file", str(repository / "images" / "Dockerfile"), "--tag", image, str(repository)]


def create(kind: Path, kubeconfig: Path) -> list[str]:
    """Make the cluster and wait until its node is ready. The kubeconfig is a file of its own, not the user's."""
    return [
        str(kind), "create", "cluster", f"--name={CLUSTER}", f"--image={NODE_IMAGE}",
        f"--kubeconfig={kubeconfig}", "--wait=180s",
    ]  # fmt: skip


def load(kind: Path, image: str) -> list[str]:
    """Give the node the image."""
    return [str(kind), "load", "docker-image", image, f"--name={CLUSTER}"]


def export_logs(kind: Path, directory: Path) -> list[str]:
    """Write down what the node's processes and containers said."""
    return [str(kind), "export", "logs", str(directory), f"--name={CLUSTER}"]


def delete(kind: Path, kubeconfig: Path) -> list[str]:
    """Delete the cluster; no error when there is none."""
    return [str(kind), "delete", "cluster", f"--name={CLUSTER}", f"--kubeconfig={kubeconfig}"]


def start_site(name: str, image: str) -> list[str]:
    """Start a container that does nothing; the image is the one that is there anyway."""
    return [
        "docker", "run", "--detach", f"--name={site(name)}", f"--network={NETWORK}",
        "--cap-drop=ALL", "--entrypoint=sleep", image, "infinity",
    ]  # fmt: skip


def site_pid(name: str) -> list[str]:
    """Ask for the container's process on this machine."""
    return ["docker", "inspect", "--format", "{{.State.Pid}}", site(name)]


def attach_site(name: str, pid: int) -> list[str]:
    """Give the process's network namespace a name (ip-netns(8))."""
    return ["ip", "netns", "attach", site(name), str(pid)]


def detach_site(name: str) -> list[str]:
    """Take the name away; without that the namespace would outlive its container."""
    return ["ip", "netns", "delete", site(name)]


def remove_site(name: str) -> list[str]:
    """Kill and remove the container: a `sleep` that is the first process takes no notice of SIGTERM."""
    return ["docker", "rm", "--force", site(name)]
