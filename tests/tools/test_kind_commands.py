"""What kind and Docker are asked, and that the pins belong together."""

import re
import subprocess
from pathlib import Path

from tools.controlplane import find_or_build
from tools.controlplane.versions import binary, parse_version
from tools.kind import commands

KIND, KUBECONFIG = Path("/bin/kind"), Path("/run/x/kubeconfig")


def test_kind_is_built_from_its_module_and_says_the_pinned_version() -> None:
    wanted = binary("kind")
    assert wanted.package == "sigs.k8s.io/kind"
    printed = subprocess.run([find_or_build("kind"), "version"], capture_output=True, text=True, check=True).stdout
    assert printed.startswith(f"kind {wanted.version} ")
    assert wanted.accepts(printed)


def test_the_node_image_is_of_the_minor_version_that_the_other_tests_run_and_pinned_by_digest() -> None:
    match = re.fullmatch(r"kindest/node:(v[0-9.]+)@sha256:[0-9a-f]{64}", commands.NODE_IMAGE)
    assert match is not None
    image, pinned = parse_version(match[1]), parse_version(binary("kube-apiserver").version)
    assert image is not None and pinned is not None and image[:2] == pinned[:2]


def test_the_cluster_is_made_with_the_pinned_node_and_a_kubeconfig_of_its_own() -> None:
    assert commands.create(KIND, KUBECONFIG) == [
        "/bin/kind", "create", "cluster", "--name=wireguard-operator-e2e", f"--image={commands.NODE_IMAGE}",
        "--kubeconfig=/run/x/kubeconfig", "--wait=180s",
    ]  # fmt: skip
    assert "--kubeconfig=/run/x/kubeconfig" in commands.delete(KIND, KUBECONFIG)


def test_the_image_is_built_from_the_ordinary_dockerfile_with_its_default_base_and_given_to_the_node() -> None:
    assert commands.build("localhost/x:dev", Path("/src")) == [
        "docker", "build", "--file", "/src/images/Dockerfile", "--tag", "localhost/x:dev", "/src",
    ]  # fmt: skip
    assert commands.load(KIND, "localhost/x:dev") == [
        "/bin/kind", "load", "docker-image", "localhost/x:dev", "--name=wireguard-operator-e2e",
    ]  # fmt: skip


def test_a_place_outside_is_a_container_beside_the_node_whose_network_namespace_gets_its_name() -> None:
    assert commands.start_site("internet", "localhost/x:dev") == [
        "docker", "run", "--detach", "--name=wireguard-operator-e2e-internet", "--network=kind", "--cap-drop=ALL",
        "--entrypoint=sleep", "localhost/x:dev", "infinity",
    ]  # fmt: skip
    assert commands.attach_site("internet", 7) == ["ip", "netns", "attach", "wireguard-operator-e2e-internet", "7"]
    assert commands.detach_site("internet") == ["ip", "netns", "delete", "wireguard-operator-e2e-internet"]


def test_kind_of_this_version_knows_every_option_that_it_is_given() -> None:
    kind = find_or_build("kind")
    for command in (
        commands.create(kind, KUBECONFIG),
        commands.load(kind, "localhost/x:dev"),
        commands.export_logs(kind, Path("/run/x/logs")),
        commands.delete(kind, KUBECONFIG),
    ):
        # With --help kind reads all options, does nothing, and complains of what it does not know.
        done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert f"kind {command[1]} {command[2]}" in done.stdout
