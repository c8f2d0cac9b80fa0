"""What values do to the objects, and how wrong ones are refused."""

import argparse
import itertools
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from rendering import Object, objects, options, refusal

from tools.chart import CHART, NAMESPACE, render
from tools.controlplane import find_or_build
from tools.lab import sh
from wireguard_operator.controller.options import settings_of
from wireguard_operator.controller.settings import Settings
from wireguard_operator.gateway import main as gateway

NAME = f"{NAMESPACE}/wireguard-operator"
GATEWAY_NAME = "wireguard-operator-gateway"
GATEWAY = f"{NAMESPACE}/{GATEWAY_NAME}"
VALUE_SETS: dict[str, Object] = {
    "defaults": {},
    "two namespaces": {"watchNamespaces": ["a", "b"]},
    "everything": {
        "commonLabels": {"team": "net"},
        "image": {"registry": "registry.example.net:5000", "digest": "sha256:" + "0" * 64, "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccount": {"name": "wg", "annotations": {"example.net/role": "wg"}},
        "controller": {
            "replicas": 3,
            "verbose": True,
            "extraArgs": ["--kubeconfig=/x"],
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.net"}],
            "podAnnotations": {"example.net/note": "x"},
            "podLabels": {"example.net/tier": "vpn"},
            "priorityClassName": "system-cluster-critical",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "topologySpreadConstraints": [
                {"topologyKey": "rack", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
            ],
        },
        "networkPolicy": {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "mon"}}}]},
        "agents": {
            "enabled": True,
            "service": {"annotations": {"example.net/lb": "x"}, "loadBalancerSourceRanges": ["192.0.2.0/24"]},
        },
        "metrics": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "mon"}},
            "prometheusRule": {"enabled": True, "labels": {"release": "mon"}},
            "dashboard": {"enabled": True},
        },
    },
    "a gateway": {"gateway": {"enabled": True}},
    "a gateway with everything": {
        "commonLabels": {"team": "net"},
        "gateway": {
            "enabled": True,
            "replicas": 3,
            "tenants": ["a", "b"],
            "publicUrl": "https://vpn.example.net",
            "oidc": {"issuers": ["https://id.example.net"]},
            "trustedProxies": "10.0.0.0/8",
            "tickets": {"namespace": "tickets", "createNamespace": False},
            "portal": {"brandConfigMap": "brand"},
            "tls": {"secretName": "gateway-tls"},
            "service": {"type": "LoadBalancer", "port": 443, "annotations": {"example.net/pool": "x"}},
            "ingress": {"enabled": True, "className": "nginx", "host": "vpn.example.net", "tlsSecretName": "vpn"},
            "networkPolicyFrom": [{"namespaceSelector": {}}],
            "extraArgs": ["--anonymous-rate=9"],
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.net"}],
            "podLabels": {"example.net/tier": "api"},
        },
        "metrics": {"serviceMonitor": {"enabled": True}},
    },
    "as little as possible": {
        "crds": {"install": False},
        "rbac": {"create": False, "aggregate": False},
        "serviceAccount": {"create": False, "name": "theirs"},
        "networkPolicy": {"enabled": False},
        "controller": {"podDisruptionBudget": {"enabled": False}, "replicas": 1, "resources": None},
    },
}


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_helm_lint_finds_nothing(tmp_path: Path, values: Object) -> None:
    said = sh(str(find_or_build("helm")), "lint", "--strict", str(CHART), *options(tmp_path, values))
    assert "[WARNING]" not in said and "[ERROR]" not in said


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_every_object_says_whose_it_is_and_where(values: Object) -> None:
    for (kind, name), body in objects(values).items():
        labels = body["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "wireguard-operator"
        assert labels.items() >= values.get("commonLabels", {}).items()
        cluster_wide = kind in ("CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Namespace")
        assert name.startswith("/") == cluster_wide, f"{kind} {name} must say its namespace"


def test_as_little_as_possible_is_a_deployment_alone() -> None:
    assert list(objects(VALUE_SETS["as little as possible"])) == [("Deployment", NAME)]


def environment(deployment: Object) -> dict[str, str]:
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    return {item["name"]: item.get("value", "").replace("$(POD_NAMESPACE)", "the-namespace") for item in env}


def settings(deployment: Object, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings with which the controller would run in the pod."""
    for name, value in environment(deployment).items():
        monkeypatch.setenv(name, value)
    return settings_of(argparse.Namespace())


def test_the_defaults_of_the_chart_are_those_of_the_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    found, default = settings(objects()["Deployment", NAME], monkeypatch), Settings()
    assert found.namespace == "the-namespace"
    for name in (
        "watch_namespaces",
        "stats_interval",
        "traffic_interval",
        "statistics_writes",
        "cool_down",
        "sweep_interval",
        "peer_metrics",
        "dial_in",
        "host_certificate_life",
    ):
        assert getattr(found, name) == getattr(default, name), name


def test_values_reach_the_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "watchNamespaces": ["a", "b"],
        "controller": {
            "statsInterval": 0.5,
            "trafficInterval": 90,
            "statisticsWrites": 7,
            "coolDown": 2592000,
            "sweepInterval": 1,
        },
        "metrics": {"port": 9100, "peers": False},
        "agents": {"enabled": True, "port": 9443, "certificateLife": 86400},
    }
    found = settings(objects(values)["Deployment", NAME], monkeypatch)
    assert found.watch_namespaces == ("a", "b")
    assert (found.stats_interval, found.traffic_interval, found.statistics_writes) == (0.5, 90, 7)
    assert (found.cool_down, found.sweep_interval) == (2592000, 1)
    assert (found.metrics_port, found.peer_metrics) == (9100, False)
    assert (found.dial_in, found.host_certificate_life) == ("[::]:9443", 86400)


def test_hosts_reach_the_port_of_agents_through_a_service_when_it_is_open() -> None:
    assert ("Service", f"{NAME}-agents") not in objects()
    found = objects({"agents": {"enabled": True, "service": {"type": "NodePort", "nodePort": 30844}}})
    service, deployment = found["Service", f"{NAME}-agents"], found["Deployment", NAME]
    assert service["spec"]["type"] == "NodePort"
    assert service["spec"]["ports"] == [{"name": "agents", "port": 8444, "targetPort": "agents", "nodePort": 30844}]
    pod = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert {"name": "agents", "containerPort": 8444} in pod["spec"]["containers"][0]["ports"]
    [_, open_to_all] = found["NetworkPolicy", NAME]["spec"]["ingress"]
    assert open_to_all == {"ports": [{"port": "agents", "protocol": "TCP"}]}


@pytest.mark.parametrize(
    ("image", "server_image", "found"),
    [
        ({}, "", ("wireguard-operator:0.1.0", "wireguard-operator:0.1.0")),
        (
            {"registry": "r.example.net:5000", "repository": "isp/wg", "tag": "7"},
            "",
            ("r.example.net:5000/isp/wg:7",) * 2,
        ),
        ({"tag": "7", "digest": "sha256:" + "a" * 64}, "", ("wireguard-operator@sha256:" + "a" * 64,) * 2),
        ({}, "other:1", ("wireguard-operator:0.1.0", "other:1")),
    ],
)
def test_server_pods_run_the_controllers_image_unless_told_otherwise(
    image: Object, server_image: str, found: tuple[str, str]
) -> None:
    values = {"image": image, "controller": {"serverImage": server_image}}
    deployment = objects(values)["Deployment", NAME]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], environment(deployment)["WIREGUARD_OPERATOR_IMAGE"]) == found


def test_selectors_find_the_pods_whatever_labels_are_added() -> None:
    for values in VALUE_SETS.values():
        found = objects(values)
        labels = found["Deployment", NAME]["spec"]["template"]["metadata"]["labels"].items()
        assert found["Deployment", NAME]["spec"]["selector"]["matchLabels"].items() <= labels
        for kind, part in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
            if (kind, NAME) in found:
                assert found[kind, NAME]["spec"][part]["matchLabels"].items() <= labels
            if ("Deployment", GATEWAY) in found:
                theirs = found["Deployment", GATEWAY]["spec"]["template"]["metadata"]["labels"].items()
                assert not found["Deployment", NAME]["spec"]["selector"]["matchLabels"].items() <= theirs
                assert found[kind, GATEWAY]["spec"][part]["matchLabels"].items() <= theirs
                assert found["Service", GATEWAY]["spec"]["selector"].items() <= theirs


def test_a_service_monitor_finds_the_service_that_lists_the_pods() -> None:
    found = objects(VALUE_SETS["everything"])
    monitor, service = found["ServiceMonitor", NAME], found["Service", f"{NAME}-metrics"]
    assert monitor["metadata"]["labels"]["release"] == "mon"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    labels = found["Deployment", NAME]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_each_rule_of_a_role_has_its_reason_beside_it() -> None:
    for path in (CHART / "templates").iterdir():
        lines = path.read_text().splitlines()
        for before, line in itertools.pairwise(lines):
            if line.startswith("- apiGroups:"):
                assert before.startswith("#"), f"{path.name}: {line}"


def rules(body: Object) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in body["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_no_role_has_a_wildcard_or_a_verb_that_escalates() -> None:
    for values in ({}, {"watchNamespaces": ["a"]}, {"gateway": {"enabled": True}}):
        for (kind, name), body in objects(values).items():
            if kind in ("Role", "ClusterRole"):
                for group, resource, verb in rules(body):
                    assert "*" not in (group, resource, verb), name
                    assert verb not in ("bind", "escalate", "impersonate", "approve", "sign"), name
                    assert group != "rbac.authorization.k8s.io" and resource != "pods/exec"
                    # Of the account without rights, whose tokens subscribers get.
                    assert resource != "serviceaccounts/token" or name == f"{NAMESPACE}-tickets/{GATEWAY_NAME}-tickets"


def test_in_two_namespaces_the_rights_are_those_of_all_namespaces_but_for_the_namespaces_themselves() -> None:
    everywhere = rules(objects()["ClusterRole", "/wireguard-operator"])
    some = objects({"watchNamespaces": ["a", "b"]})
    assert not [key for key in some if key[0] == "ClusterRoleBinding"]
    assert rules(some["Role", "a/wireguard-operator"]) == rules(some["Role", "b/wireguard-operator"])
    missing = everywhere - rules(some["Role", "a/wireguard-operator"])
    assert missing == {("", "namespaces", "list"), ("", "namespaces", "watch")}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replicas": 2}, "'replicas' not allowed"),
        ({"controller": {"replica": 2}}, "/controller': additional properties 'replica' not allowed"),
        ({"controller": {"replicas": "two"}}, "/controller/replicas': got string, want integer"),
        ({"controller": {"replicas": -1}}, "/controller/replicas': minimum: got -1, want 0"),
        ({"controller": {"statsInterval": 0}}, "/controller/statsInterval': exclusiveMinimum: got 0, want 0"),
        ({"controller": {"podLabels": {"a": 1}}}, "/controller/podLabels/a': got number, want string"),
        ({"controller": {"extraEnv": {"A": "b"}}}, "/controller/extraEnv': got object, want array"),
        ({"watchNamespaces": "a"}, "/watchNamespaces': got string, want array"),
        ({"watchNamespaces": ["A"]}, "/watchNamespaces/0': 'A' does not match pattern"),
        ({"watchNamespaces": ["a", "a"]}, "/watchNamespaces': items at 0 and 1 are equal"),
        ({"image": {"digest": "sha256:1"}}, "/image/digest': 'sha256:1' does not match pattern"),
        ({"image": {"registry": "r.example.net/isp"}}, "/image/registry': 'r.example.net/isp' does not match pattern"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy': value must be one of 'Always'"),
        ({"crds": {"install": "yes"}}, "/crds/install': got string, want boolean"),
        ({"gateway": {"enable": True}}, "/gateway': additional properties 'enable' not allowed"),
        (
            {"gateway": {"publicUrl": "vpn.example.net"}},
            "/gateway/publicUrl': 'vpn.example.net' does not match pattern",
        ),
        ({"gateway": {"oidc": {"usernamePrefix": ""}}}, "/gateway/oidc/usernamePrefix': minLength: got 0, want 1"),
        ({"gateway": {"enabled": True, "metricsPort": 8080}}, "gateway.metricsPort: 8080 is the port of the API"),
        ({"gateway": {"enabled": True, "ingress": {"enabled": True}}}, "gateway.ingress.host: name the host"),
        (
            {"gateway": {"enabled": True, "tickets": {"namespace": NAMESPACE}}},
            "gateway.tickets.namespace: must not be that of the release",
        ),
        (
            {"watchNamespaces": ["a"], "gateway": {"enabled": True, "tenants": ["b"]}},
            "gateway.tenants: no controller serves b, which is not among watchNamespaces",
        ),
        ({"metrics": {"port": 0}}, "/metrics/port': minimum: got 0, want 1"),
        ({"metrics": {"port": 8080}}, "metrics.port: 8080 is the port of the probes; choose another one"),
        ({"agents": {"enabled": True, "port": 8081}}, "agents.port: 8081 is the port of the probes or of the metrics"),
        ({"agents": {"service": {"type": "Ingress"}}}, "/agents/service/type': value must be one of 'LoadBalancer'"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name: name the ServiceAccount to use"),
    ],
)
def test_wrong_values_are_refused_with_their_place_and_what_is_wrong(
    tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    assert said in refusal(tmp_path, values)


def test_a_kubernetes_that_is_too_old_is_refused_and_a_providers_build_is_not() -> None:
    assert render("--kube-version", "1.31.4-gke.1")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render("--kube-version", "1.30.9")
    assert "which is incompatible with Kubernetes v1.30.9" in refused.value.stderr


def gateway_settings(deployment: Object, monkeypatch: pytest.MonkeyPatch) -> gateway.Settings:
    """The settings with which the gateway would run in the pod."""
    for name, value in environment(deployment).items():
        monkeypatch.setenv(name, value)
    return gateway.settings_of(argparse.Namespace())


def test_the_defaults_of_the_chart_are_those_of_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = objects(VALUE_SETS["a gateway"])["Deployment", GATEWAY]
    found, default = gateway_settings(deployment, monkeypatch), gateway.Settings()
    differing = {field.name for field in fields(default) if getattr(found, field.name) != getattr(default, field.name)}
    assert differing == {"namespace", "metrics_port"}
    assert (found.namespace, found.metrics_port) == (f"{NAMESPACE}-tickets", 8081)


def test_values_reach_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = objects(VALUE_SETS["a gateway with everything"])["Deployment", GATEWAY]
    found = gateway_settings(deployment, monkeypatch)
    assert (found.watch_namespaces, found.namespace) == (("a", "b"), "tickets")
    assert (found.public_url, found.oidc_issuers) == ("https://vpn.example.net", ("https://id.example.net",))
    assert (found.tls_certificate, found.tls_key, found.portal_brand) == ("/tls/tls.crt", "/tls/tls.key", "/brand")
    mounts = {mount["mountPath"] for mount in deployment["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert mounts == {"/tmp", "/tls", "/brand"}


def test_no_right_of_the_gateway_to_secrets_is_one_of_the_whole_cluster() -> None:
    for values in (VALUE_SETS["a gateway"], VALUE_SETS["a gateway with everything"]):
        found = objects(values)
        for (kind, name), body in found.items():
            if kind == "ClusterRoleBinding" and body["subjects"][0]["name"] == GATEWAY_NAME:
                bound = rules(found["ClusterRole", f"/{body['roleRef']['name']}"])
                assert not [rule for rule in bound if rule[1] == "secrets"], name
