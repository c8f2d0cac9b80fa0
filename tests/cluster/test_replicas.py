"""Several controllers and one Lease: one works, the next goes on, at once when it is told and soon when it is not."""

import socket
import urllib.error
import urllib.request

from isp import apply_peer, apply_server, status

from tools.lab import Daemon, Lab, wait_for


def replica(lab: Lab, name: str) -> tuple[Daemon, int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return lab.new_controller(name, "--leader-elect", "--health-port", str(port)), port


def holder(lab: Lab) -> str:
    found: str = lab.get("lease", "wireguard-operator")["spec"].get("holderIdentity", "")
    return found


def answers(port: int, path: str) -> bool:
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).status == 200)
    except urllib.error.URLError:
        return False


def pid(daemon: Daemon) -> str:
    assert daemon.process is not None
    return f"-{daemon.process.pid}-"


def test_one_replica_works_and_another_goes_on_when_it_stops_or_dies(lab: Lab) -> None:
    apply_server(lab)
    (first, one), (second, two) = replica(lab, "one"), replica(lab, "two")
    try:
        first.start()
        lab.join_host()
        lab.wait_ready("wgs", "berlin")
        second.start()
        wait_for(
            "both to be ready", lambda: all(answers(port, "/readyz") and answers(port, "/livez") for port in (one, two))
        )
        wait_for("the second to stand by", lambda: "standing by" in second.log.read_text())
        assert pid(first) in holder(lab)
        apply_peer(lab, "a")
        lab.wait_ready("wgp", "a")
        assert "serving" not in second.log.read_text()
        # Told to stop, the first gives the Lease back.
        first.end()
        wait_for("the second to take over", lambda: pid(second) in holder(lab), 8)
        apply_peer(lab, "b")
        lab.wait_ready("wgp", "b")
        # Killed, the second is waited for as long as its Lease holds.
        first.start()
        wait_for("the first to stand by", lambda: first.log.read_text().count("standing by") == 1)
        second.end(kill=True)
        wait_for("the first to take over", lambda: pid(first) in holder(lab), 30)
        apply_peer(lab, "c")
        lab.wait_ready("wgp", "c")
        assert sorted(status(lab, name)["addresses"] for name in "abc") == [[f"10.8.0.{i}/32"] for i in (2, 3, 4)]
    finally:
        first.end()
        second.end()


def test_a_replica_that_stands_by_stops_at_once_when_it_is_told(lab: Lab) -> None:
    (first, _), (second, _) = replica(lab, "one"), replica(lab, "two")
    try:
        first.start()
        wait_for("the first to have the Lease", lambda: pid(first) in holder(lab))
        second.start()
        wait_for("the second to stand by", lambda: "standing by" in second.log.read_text())
        process = second.process
        assert process is not None
        process.terminate()
        assert process.wait(5) == 0
    finally:
        first.end()
        second.end()
