"""The objects of a server's pods: what they may and may not do."""

from typing import Any

import pytest
from objects import server

from wireguard_operator.domain import server_pods


def pods(**data_plane: Any) -> dict[str, Any]:
    return server_pods.deployment(server(dataPlane=data_plane), "example/operator:1")


def container(**data_plane: Any) -> dict[str, Any]:
    found: dict[str, Any] = pods(**data_plane)["spec"]["template"]["spec"]["containers"][0]
    return found


def test_the_agent_has_one_capability_and_no_credentials_of_the_cluster() -> None:
    security = container()["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
    spec = pods()["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}


def test_keys_are_in_memory_only() -> None:
    volumes = {volume["name"]: volume for volume in pods()["spec"]["template"]["spec"]["volumes"]}
    assert volumes["memory"]["emptyDir"] == {"medium": "Memory"}
    written = [mount for mount in container()["volumeMounts"] if not mount.get("readOnly") and mount["name"] != "tun"]
    assert {mount["name"] for mount in written} == {"memory"}


def test_every_boot_secret_is_optional_so_that_a_first_pod_starts() -> None:
    volumes = {volume["name"]: volume for volume in pods()["spec"]["template"]["spec"]["volumes"]}
    sources = volumes["boot"]["projected"]["sources"]
    assert len(sources) == server_pods.BOOT_PARTS and all(source["secret"]["optional"] for source in sources)
    assert [source["secret"]["items"][0]["path"] for source in sources][:2] == ["part-0", "part-1"]


def test_settings_reach_the_pod() -> None:
    plane = {
        "image": "example/other:2", "resources": {"limits": {"memory": "1Gi"}}, "nodeSelector": {"vpn": "yes"},
        "tolerations": [{"key": "vpn", "operator": "Exists"}], "ipv6Forwarding": True,
    }  # fmt: skip
    spec = pods(**plane)["spec"]["template"]["spec"]
    assert container(**plane)["image"] == "example/other:2"
    assert container(**plane)["resources"] == {"limits": {"memory": "1Gi"}}
    assert spec["nodeSelector"] == {"vpn": "yes"} and spec["tolerations"] == [{"key": "vpn", "operator": "Exists"}]
    assert spec["securityContext"]["sysctls"] == [{"name": "net.ipv6.conf.all.forwarding", "value": "1"}]


def test_a_change_of_the_server_s_port_reaches_service_pod_and_policy() -> None:
    found = server(listenPort=4500, dataPlane={})
    assert server_pods.service(found)["spec"]["ports"][0]["port"] == 4500
    assert server_pods.deployment(found, "i")["spec"]["template"]["spec"]["containers"][0]["ports"][0] == {
        "name": "wireguard", "containerPort": 4500, "protocol": "UDP",
    }  # fmt: skip
    assert server_pods.network_policy(found, "ops")["spec"]["ingress"][0]["ports"] == [
        {"protocol": "UDP", "port": 4500}
    ]


def test_the_agent_s_port_is_for_the_operator_s_namespace_only() -> None:
    rule = server_pods.network_policy(server(dataPlane={}), "ops")["spec"]["ingress"][1]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ops"}}}]


@pytest.mark.parametrize("name", ["a", "a" * 40, "a" * 63])
def test_names_of_children_are_dns_labels_and_tell_servers_apart(name: str) -> None:
    names = {server_pods.short_name(n, suffix) for n in (name, name[:-1] + "b") for suffix in ("", "-agent")}
    assert len(names) == 4 and all(len(n) <= 63 for n in names)


@pytest.mark.parametrize(
    ("implementation", "option", "tun"),
    [(None, "auto", True), ("Auto", "auto", True), ("Userspace", "userspace", True), ("Kernel", "kernel", False)],
)
def test_the_implementation_is_the_agent_s_driver_and_only_the_kernel_s_needs_no_tun_device(
    implementation: str | None, option: str, tun: bool
) -> None:
    plane = {"implementation": implementation} if implementation else {}
    assert f"--driver={option}" in container(**plane)["args"]
    assert any(mount["name"] == "tun" for mount in container(**plane)["volumeMounts"]) is tun
    assert any(volume["name"] == "tun" for volume in pods(**plane)["spec"]["template"]["spec"]["volumes"]) is tun
