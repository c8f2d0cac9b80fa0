"""The node's configuration, as its programs will read it."""

import json
import tomllib
from pathlib import Path

import yaml

from tools.node import commands


def test_containerd_keeps_everything_in_its_folder() -> None:
    found = tomllib.loads(commands.containerd_config(Path("/run/x"), "localhost/pause:dev"))
    cri = found["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == "localhost/pause:dev"
    for path in (found["root"], found["state"], found["grpc"]["address"], cri["cni"]["conf_dir"]):
        assert path.startswith("/run/x/")


def test_pods_get_addresses_of_both_families_that_kube_proxy_takes_for_local() -> None:
    bridge = json.loads(commands.cni_config())["plugins"][0]
    networks = [entry[0]["subnet"] for entry in bridge["ipam"]["ranges"]]
    assert yaml.safe_load(commands.proxy_config(Path("/k")))["clusterCIDR"] == ",".join(networks)


def test_kubelet_puts_pods_below_our_cgroup_and_keeps_its_files_in_its_folder() -> None:
    text = commands.kubelet_config(Path("/run/x"), Path("/ca.crt"), Path("/run/x/c.sock"), "/ours")
    found = yaml.safe_load(text)
    assert found["cgroupRoot"] == "/ours"
    assert found["containerRuntimeEndpoint"] == "unix:///run/x/c.sock"
    assert found["podLogsDir"].startswith("/run/x/")


def test_pods_reach_the_api_server_at_an_address_that_is_not_loopback() -> None:
    flags = dict(flag.split("=", 1) for flag in commands.APISERVER_FLAGS)
    assert not flags["--advertise-address"].startswith("127.")
    assert flags["--endpoint-reconciler-type"] == "lease"
