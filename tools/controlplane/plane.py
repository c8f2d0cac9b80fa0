"""One control plane in one state directory: etcd, kube-apiserver and kube-controller-manager on loopback.

A `ControlPlane` object is only a view of its directory: another process, or a later one, makes an object for
the same directory and can use or stop what runs there. `start` is idempotent, `stop` ends exactly the
processes that were recorded and then removes the directory.

etcd speaks plain HTTP: it listens on loopback only, and what it keeps are the objects of tests.
"""

import hashlib
import http.client
import os
import re
import secrets
import shutil
import ssl
import subprocess
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from tools.controlplane import commands, state
from tools.controlplane.binaries import find_or_build
from tools.controlplane.kubeconfig import write_kubeconfig
from tools.controlplane.locks import file_lock
from tools.controlplane.paths import private_directory, runtime_root
from tools.controlplane.pki import Authority, KeyPair, service_account_keys
from tools.controlplane.processes import ProcessRecord, end, spawn

START_TIMEOUT = 120.0
"""Seconds until a plane must be ready; 4 are usual, a busy machine with two cores needs many more."""
STOP_GRACE = 15.0
"""Seconds between SIGTERM and SIGKILL, for each process."""
_TAIL_LINES = 20
_PROCESSES = 3
_PORT_ATTEMPTS = 3


BINARIES = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")


class ControlPlaneError(RuntimeError):
    """A plane did not start, or a command against it failed; the message says why."""


class ControlPlane:
    """A control plane kept in `directory`, running or not."""

    def __init__(self, directory: Path, *, audit_log: Path | None = None, apiserver_flags: Sequence[str] = ()) -> None:
        """Look at `directory`; `audit_log` and extra flags matter to `start` only."""
        self.directory = directory.absolute()
        self.kubeconfig = self.directory / "kubeconfig"
        self._pki = self.directory / "pki"
        self._audit_log = audit_log.absolute() if audit_log else None
        self._apiserver_flags = tuple(apiserver_flags)

    def __enter__(self) -> "ControlPlane":
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{commands.LOOPBACK}:{self._state().ports.apiserver}"

    @property
    def ready(self) -> bool:
        """Whether the API server answers, now, that it is ready."""
        return state.read(self.directory) is not None and self._answers()

    def start(self, timeout: float = START_TIMEOUT) -> None:
        """Start the plane, or wait for the one that already runs here.

        When one of its processes died, the rest is removed and an empty plane is started, on other ports.
        """
        binaries = {name: find_or_build(name) for name in BINARIES}
        deadline = time.monotonic() + timeout
        with self._lock("it starts or stops this control plane"):
            found = state.read(self.directory)
            if found and len(found.processes) == _PROCESSES and not found.dead():
                self._wait_until_ready(deadline)
                return
            for attempt in range(1, _PORT_ATTEMPTS + 1):
                self._clean_up()
                try:
                    files = self._launch(binaries)
                    self._wait_until_ready(deadline)
                    # Only now: it gives up after 10 s without an API server.
                    name = "kube-controller-manager"
                    self._spawn(name, commands.controller_manager(binaries[name], self.kubeconfig, files))
                    return
                except ControlPlaneError as error:
                    self._end_processes()
                    if "address already in use" not in str(error) or attempt == _PORT_ATTEMPTS:
                        raise
                except BaseException:
                    self._end_processes()
                    raise

    def stop(self) -> None:
        """End the recorded processes and remove the directory; without a plane there, do nothing."""
        with self._lock("it starts or stops this control plane"):
            if state.read(self.directory) is not None:
                self._clean_up()

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Write a kubeconfig for any user and groups, e.g. to see what RBAC lets an operator do."""
        name = f"{re.sub(r'[^A-Za-z0-9]+', '-', user)[:40]}-{secrets.token_hex(4)}"
        authority = Authority.load(self._pki)
        path = self.directory / f"kubeconfig-{name}"
        return write_kubeconfig(
            path, self.server, authority.files.certificate, user, authority.client(name, user, groups)
        )

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 60.0) -> str:
        """Run kubectl as admin and return its stdout; a failure raises with what it printed."""
        done = subprocess.run(
            self.kubectl_command(*arguments), env=self.kubectl_environment(), input=stdin,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise ControlPlaneError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def wait_for_definitions(self, *definitions: str, seconds: float = 60.0) -> None:
        """Wait until the API server serves these CRDs (default: all that there are).

        One that was made a moment ago has no conditions yet, which `kubectl wait` takes for an error.
        """
        names = [f"crd/{name}" for name in definitions] or ["crd", "--all"]
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.kubectl("wait", "--for=condition=Established", "--timeout=5s", *names)
                return
            except ControlPlaneError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def kubectl_command(self, *arguments: str) -> list[str]:
        """Return a kubectl command line for this plane."""
        return [str(find_or_build("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]

    def kubectl_environment(self) -> dict[str, str]:
        """Return an environment in which kubectl neither reads nor writes anything in ~/.kube."""
        hidden = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        return {**hidden, "KUBECACHEDIR": str(self.directory / "kubectl-cache"), "KUBECTL_KUBERC": "false"}

    def log(self, process: str) -> Path:
        """Return the log file of a process, e.g. `kube-apiserver`."""
        return self.directory / f"{process}.log"

    def _launch(self, binaries: dict[str, Path]) -> commands.ApiserverFiles:
        private_directory(self.directory)
        current = state.State(state.choose_ports())
        state.write(self.directory, current)
        files = self._write_files()
        audit = self._audit()
        for name, command in {
            "etcd": commands.etcd(binaries["etcd"], self.directory / "etcd", current.ports),
            "kube-apiserver": commands.apiserver(
                binaries["kube-apiserver"], files, current.ports, audit, self._apiserver_flags
            ),
        }.items():
            self._spawn(name, command)
        return files

    def _spawn(self, name: str, command: list[str]) -> None:
        state.write(self.directory, self._state().with_process(spawn(name, command, self.log(name))))

    def _write_files(self) -> commands.ApiserverFiles:
        authority = Authority.create(self._pki)
        server = authority.server("apiserver", "kube-apiserver", commands.SERVER_NAMES)
        admin = authority.client("admin", "admin", ["system:masters"])
        write_kubeconfig(self.kubeconfig, self.server, authority.files.certificate, "admin", admin)
        return commands.ApiserverFiles(authority.files.certificate, server, admin, *service_account_keys(self._pki))

    def _audit(self) -> commands.Audit | None:
        if self._audit_log is None:
            return None
        policy = self.directory / "audit-policy.yaml"
        policy.write_text(commands.AUDIT_POLICY)
        return commands.Audit(policy, self._audit_log)

    def _wait_until_ready(self, deadline: float) -> None:
        while not self._answers():
            if dead := self._state().dead():
                raise ControlPlaneError("\n".join(self._obituary(record) for record in dead))
            if time.monotonic() > deadline:
                tails = "\n".join(self._tail(record.name) for record in self._state().processes)
                raise ControlPlaneError(f"the control plane was not ready in time\n{tails}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        """Readiness, and the default namespace: it appears a moment after /readyz turns green."""
        try:
            return all(self._get(path) == 200 for path in ("/readyz", "/api/v1/namespaces/default"))
        except (OSError, http.client.HTTPException):
            return False

    def _get(self, path: str) -> int:
        """Ask with plain http.client: it knows no proxies, and readiness must not depend on kubectl."""
        admin = KeyPair(self._pki / "admin.crt", self._pki / "admin.key")
        context = ssl.create_default_context(cafile=str(self._pki / "ca.crt"))
        context.load_cert_chain(admin.certificate, admin.key)
        connection = http.client.HTTPSConnection(
            commands.LOOPBACK, self._state().ports.apiserver, timeout=5, context=context
        )
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def _state(self) -> state.State:
        found = state.read(self.directory)
        if found is None:
            raise ControlPlaneError(f"there is no control plane in {self.directory}")
        return found

    def _obituary(self, record: ProcessRecord) -> str:
        code = record.exit_code()
        how = "died" if code is None else f"exited with code {code}"
        return f"{record.name} {how} before the control plane was ready\n{self._tail(record.name)}"

    def _tail(self, name: str) -> str:
        try:
            lines = self.log(name).read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        except FileNotFoundError:
            lines = []
        return "\n".join([f"--- the end of {self.log(name)}", *lines])

    def _end_processes(self) -> None:
        """End them, the API server first: it says goodbye to etcd."""
        found = state.read(self.directory)
        for record in reversed(found.processes if found else ()):
            end(record, STOP_GRACE)

    def _clean_up(self) -> None:
        """Make the directory not exist, unless it is none of ours."""
        if state.read(self.directory) is not None:
            self._end_processes()
            for entry in self.directory.iterdir():
                if entry.name != state.FILE_NAME:  # last: without it, what is left after a kill is none of ours
                    shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
            shutil.rmtree(self.directory)
        elif self.directory.exists() and any(self.directory.iterdir()):
            raise ControlPlaneError(f"{self.directory} is not empty and no control plane made it; name another one")

    def _lock(self, purpose: str) -> AbstractContextManager[None]:
        """Lock this directory, from outside: it does not survive `stop`, and a lock file must."""
        digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        return file_lock(private_directory(runtime_root()) / "locks" / digest, purpose)
