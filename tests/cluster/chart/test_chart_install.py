"""The chart on a real API server: accepted without a warning, installed, upgraded, uninstalled."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from release import CRDS, RESTRICTED, Release, running

from tools.chart import CHART, INSTALL, render
from tools.controlplane import ControlPlane
from tools.lab import wait_for

PEERS_CRD = CRDS[1]
SERVICE_MONITORS = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: ServiceMonitor, plural: servicemonitors}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""


@pytest.mark.parametrize(
    "chosen",
    [
        (),
        ("watchNamespaces={THERE}",),
        ("metrics.serviceMonitor.enabled=true", "controller.podLabels.a=b", "controller.verbose=true"),
        ("serviceAccount.create=false", "serviceAccount.name=default", "rbac.create=false", "crds.install=false"),
        (
            "gateway.enabled=true",
            "gateway.tenants={THERE}",
            "gateway.tickets.namespace=default",
            "gateway.tickets.createNamespace=false",
            "gateway.ingress.enabled=true",
            "gateway.ingress.host=vpn.example.net",
            "gateway.tls.secretName=tls",
            "metrics.serviceMonitor.enabled=true",
        ),
    ],
    ids=["defaults", "a namespace", "much", "little", "gateway"],
)
def test_the_api_server_takes_every_object_without_a_warning(
    plane: ControlPlane, namespace: Callable[..., str], no_definitions: None, chosen: tuple[str, ...]
) -> None:
    plane.kubectl("apply", "-f", "-", stdin=SERVICE_MONITORS)
    plane.wait_for_definitions("servicemonitors.monitoring.coreos.com")
    there = namespace(**RESTRICTED)
    options = [part for item in chosen for part in ("--set", item.replace("THERE", there))]
    rendered = render(*options, namespace=there)
    command = plane.kubectl_command("apply", "--server-side", "--dry-run=server", "-f", "-")
    done = subprocess.run(
        command, input=rendered, env=plane.kubectl_environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len([o for o in yaml.safe_load_all(rendered) if o])


def description(plane: ControlPlane) -> str:
    """What tells an older definition of peers from the present one."""
    found = json.loads(plane.kubectl("get", "crd", PEERS_CRD, "-o", "json"))
    return str(found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"])


def older_chart(folder: Path) -> Path:
    """A chart whose definition of peers says something else."""
    old = folder / "older"
    shutil.copytree(CHART, old)
    path = old / "files" / "crds" / f"{PEERS_CRD}.yaml"
    body = yaml.safe_load(path.read_text())
    body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "As it was."
    path.write_text(yaml.safe_dump(body))
    return old


def test_a_release_is_installed_upgraded_and_uninstalled_and_the_definitions_go_along_and_stay(
    plane: ControlPlane, release: Callable[..., Release], no_definitions: None, tmp_path: Path
) -> None:
    one = release()
    notes = one.install(chart=older_chart(tmp_path))
    assert f"kubectl -n {one.namespace} rollout status deployment/wireguard-operator" in notes
    assert description(plane) == "As it was."
    plane.wait_for_definitions(*CRDS)
    wait_for("pods that pass `restricted`", lambda: len(running(plane, one.namespace)) == 2)

    # What the notes tell people to write.
    first = notes.split("<<EOF\n")[1].split("EOF\n")[0]
    plane.kubectl("apply", "-n", one.namespace, "-f", "-", stdin=first)

    one.upgrade("--set", "controller.replicas=3")
    assert description(plane) != "As it was."
    wait_for("the third pod", lambda: len(running(plane, one.namespace)) >= 3)

    one.helm("uninstall")
    assert plane.kubectl("get", "all,networkpolicies,pdb,roles", "-n", one.namespace, "-o", "name").split() == []
    assert plane.kubectl("get", "crd", "-o", "name", *CRDS).count("wireguard") == len(CRDS) * 2
    assert len(plane.kubectl("get", "wireguard", "-n", one.namespace, "-o", "name").split()) == 2

    assert "Uninstalling keeps" in one.install()


def test_definitions_of_somebody_else_are_taken_over_only_when_asked_for(
    plane: ControlPlane, release: Callable[..., Release], no_definitions: None
) -> None:
    plane.kubectl("apply", "--server-side", "-f", str(CHART / "files" / "crds"))
    one = release()
    with pytest.raises(RuntimeError, match="cannot be imported into the current release"):
        one.install()
    one.install("--take-ownership")
    one.upgrade()
    notes = one.upgrade("--set", "crds.install=false")
    assert "apply the CustomResourceDefinitions of this version yourself" in notes
    assert description(plane)


def test_two_releases_live_side_by_side(plane: ControlPlane, release: Callable[..., Release]) -> None:
    for name in ("east", "west"):
        one = release(name)
        mine = "rbac.aggregate=false,crds.install=false,watchNamespaces={" + one.namespace + "}"
        one.install("--set", mine)


def test_kustomize_installs_the_same_and_its_pods_pass_restricted(plane: ControlPlane, no_definitions: None) -> None:
    try:
        plane.kubectl("apply", "--server-side", "-k", str(INSTALL))
        wait_for("pods", lambda: len(running(plane, "wireguard-system")) == 2)
    finally:
        plane.kubectl("delete", "-k", str(INSTALL), "--wait=false")
