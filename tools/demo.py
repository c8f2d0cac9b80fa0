"""`make demo`: the whole product on this machine in under a minute, from an empty API server to a subscriber's ping.

Everything is real and local: API server, controller, agent, WireGuard, and a subscriber with the ordinary `wg`
tools in a network namespace. Nothing outside those namespaces and loopback is touched. With KEEP=1 it stays up.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time

from tools.controlplane import ControlPlaneError, shared_control_plane
from tools.lab import Lab, LabError, sh, wait_for
from tools.lab.gateway import Gateway

MEGABYTES = 20
DOWNLOAD_PORT = 8080
_SERVE = f"""
import http.server
class Bytes(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        for _ in range({MEGABYTES}): self.wfile.write(bytes(1 << 20))
http.server.HTTPServer(("10.8.0.1", {DOWNLOAD_PORT}), Bytes).serve_forever()
"""
_FETCH = f"""
import time, urllib.request
began = time.monotonic(); size = 0
with urllib.request.urlopen("http://10.8.0.1:{DOWNLOAD_PORT}/", timeout=30) as answer:
    while chunk := answer.read(1 << 16): size += len(chunk)
print(f"{{size / 1e6:.0f}} MB in {{time.monotonic() - began:.1f}} s")
"""


def say(text: str) -> None:
    """A heading."""
    print(f"\n\033[1m==> {text}\033[0m" if sys.stdout.isatty() else f"\n==> {text}", flush=True)


def show(lab: Lab, *arguments: str) -> None:
    """A kubectl command and what it prints."""
    print(f"$ kubectl {' '.join(arguments)}\n{lab.kubectl(*arguments)}", flush=True)


def missing() -> list[str]:
    """What this machine lacks, each with the way to get it."""
    found = []
    if os.geteuid() != 0:
        found.append("root: network namespaces and WireGuard interfaces need it; run `sudo make demo`")
    if not os.path.exists("/dev/net/tun"):  # noqa: PTH110
        found.append(
            "/dev/net/tun: load the module with `modprobe tun`, or start the container with --device /dev/net/tun"
        )
    return found


def download(lab: Lab) -> str:
    """Fetch some megabytes through the tunnel; how it went."""
    command = ["ip", "netns", "exec", lab.host.netns, sys.executable, "-c", _SERVE]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        fetch = ("ip", "netns", "exec", lab.client_netns, sys.executable, "-c", _FETCH)
        return wait_for("the download", lambda: sh(*fetch), 60).strip()
    finally:
        server.terminate()
        server.wait()


def story(lab: Lab) -> None:
    """What a provider would do."""
    say("kubectl apply: a server and a peer (manifests/samples)")
    lab.apply_samples()
    say(
        "controller starts; the host joins: wireguard-operator host-bundle berlin | wireguard-operator agent --bundle -"
    )
    lab.start_controller()
    lab.join_host()
    lab.wait_ready("wgs", "berlin")
    lab.wait_ready("wgp", "alice")
    show(lab, "get", "wgs,wgp")

    say("the subscriber takes wg0.conf from Secret alice-wireguard: wg-quick up wg0.conf")
    lab.connect()
    wait_for("the first ping through the tunnel", lab.ping, 15)
    print("ping 10.8.0.1: answered through the tunnel")
    print(f"download through the tunnel: {download(lab)}")
    wait_for(
        "the bytes in the status", lambda: lab.get("wgp", "alice")["status"]["traffic"]["txBytes"] > MEGABYTES << 20
    )
    show(lab, "get", "wgs,wgp")

    say("the same configuration for a phone: wireguard-operator qr alice")
    python = (sys.executable, "-m", "wireguard_operator", "qr", "alice", "-n", lab.namespace)
    print(sh(*python, "--kubeconfig", str(lab.plane.kubeconfig)))

    say("the subscriber is disabled: spec.enabled=false")
    lab.kubectl("patch", "wgp", "alice", "--type=merge", "-p", '{"spec":{"enabled":false}}')
    began = time.monotonic()
    wait_for("the ping to stop", lambda: not lab.ping(seconds=0.2), 10)
    print(f"the ping stopped after {time.monotonic() - began:.1f} s")
    lab.wait_ready("wgp", "alice")
    show(lab, "get", "wgp")

    say("and enabled again: spec.enabled=true")
    lab.kubectl("patch", "wgp", "alice", "--type=merge", "-p", '{"spec":{"enabled":true}}')
    began = time.monotonic()
    wait_for("the ping to come back", lab.ping, 20)
    print(f"the ping came back after {time.monotonic() - began:.1f} s")
    wait_for("phase Active", lambda: lab.get("wgp", "alice")["status"]["phase"] == "Active")
    show(lab, "get", "wgp")


def link(lab: Lab, gateway: Gateway, scope: str) -> str:
    """A link for the subscriber, as the command prints it."""
    python = (sys.executable, "-m", "wireguard_operator", "peer-link", "alice", "-n", lab.namespace, "--scope", scope)
    where = ("--kubeconfig", str(lab.plane.kubeconfig), "--tickets-namespace", lab.namespace, "--url", gateway.url)
    return sh(*python, *where).strip()


def keep(lab: Lab) -> None:
    """Leave it running, with a gateway, until the user has seen enough."""
    kubectl = shlex.quote(lab.plane.kubectl_command()[0])
    gateway = Gateway(lab.plane, lab.directory, lab.tenants)
    try:
        gateway.start()
        say("KEEP=1: all of it stays up until you press Ctrl-C. In another terminal:")
        print(f"export KUBECONFIG={shlex.quote(str(lab.plane.kubeconfig))}")
        print(f"{kubectl} -n {lab.namespace} get wgs,wgp")
        print(f"ip netns exec {lab.client_netns} ping 10.8.0.1")
        print(f"logs: {lab.controller.log} {lab.host.agent.log} {gateway.daemon.log}")
        print(f"\nthe staff's page, {gateway.url}/staff, takes this token:\n{gateway.token(lab.namespace, 'staff')}")
        print(f"\nthe subscriber's tunnel:\n{link(lab, gateway, 'status')}")
        print("\nthe subscriber's configuration, once (wireguard-operator peer-link alice):")
        print(link(lab, gateway, "config"), flush=True)
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()
    finally:
        gateway.end()


def main() -> int:
    """Run the demo; the exit code."""
    if lacks := missing():
        print("this machine lacks:", *lacks, sep="\n  ", file=sys.stderr)
        return 1
    began = time.monotonic()
    try:
        say("API server (a real one, on loopback)")
        with shared_control_plane("demo") as plane, Lab(plane) as lab:
            try:
                story(lab)
            except LabError:
                print(lab.controller.log.read_text()[-4000:], lab.host.agent.log.read_text()[-4000:], file=sys.stderr)
                raise
            if os.environ.get("KEEP"):
                keep(lab)
            say("cleaning up")
    except (LabError, ControlPlaneError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    say(f"done in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
