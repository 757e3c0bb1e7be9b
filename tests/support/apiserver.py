"""A real API server for tests: etcd and kube-apiserver on free ports, with keys of their own, and nothing of a node.

Nobody runs pods here; custom resources, rules, roles and tokens are what they are on any cluster.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

__all__ = ["KUBE", "ApiServer", "free_ports", "needs_programs", "with_definitions"]

KUBE = Path(os.environ.get("CONTIMG_KUBE") or Path.home() / ".cache" / "contimg" / "kube")
"""Where the programs are; read before the tests drop all variables of ours."""
_PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
_START_S = 60.0
_TOKEN = "token-of-the-test"  # noqa: S105 - of a server that lives as long as the test
needs_programs = pytest.mark.skipif(
    not os.environ.get("CI") and not all((KUBE / name).exists() for name in _PROGRAMS),
    reason=f"the programs of Kubernetes are not in {KUBE}; ./run programs builds them",
)
"""Without the programs such a test is skipped, but never where the environment says ``CI``."""


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class ApiServer:
    """An API server with its etcd; a context manager that ends what it started.

    Parameters
    ----------
    directory
        Where keys, data and logs are kept.
    words
        More words of kube-apiserver.
    """

    def __init__(self, directory: Path, *words: str) -> None:
        self.directory, self._words = directory, words
        self.kubeconfig = directory / "kubeconfig"
        """Of an administrator."""
        self.port, *self._etcd_ports = free_ports(3)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self._write_keys()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop("kube-apiserver")
        self.stop("etcd")

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://127.0.0.1:{self.port}"

    def audit(self, user: str) -> list[dict[str, Any]]:
        """Return what a user has asked for, as the server itself has written it down."""
        lines = map(json.loads, (self.directory / "audit.log").read_text().splitlines())
        return [line for line in lines if line["user"]["username"] == user]

    # -- processes ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start what does not run, and wait until it is ready."""
        if "etcd" not in self._running:
            client, peer = (f"http://127.0.0.1:{port}" for port in self._etcd_ports)
            self._spawn(
                "etcd", "--data-dir=etcd", "--unsafe-no-fsync", f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
            )  # fmt: skip
        self._spawn(
            "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self._etcd_ports[0]}", f"--secure-port={self.port}",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.97.0.0/24", "--cert-dir=pki", "--token-auth-file=pki/tokens.csv",
            "--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-signing-key-file=pki/sa.key", "--service-account-key-file=pki/sa.key",
            "--disable-admission-plugins=ServiceAccount", "--shutdown-delay-duration=0s",
            "--audit-policy-file=pki/audit.yaml", "--audit-log-path=audit.log", *self._words,
        )  # fmt: skip
        self._wait()

    def stop(self, name: str = "kube-apiserver") -> None:
        """End a process: the API server must be gone before its etcd."""
        process = self._running.pop(name, None)
        if process is None:
            return
        process.send_signal(signal.SIGKILL)
        process.wait()

    def _spawn(self, name: str, *words: str) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            argv = [str(KUBE / name), *words]
            self._running[name] = subprocess.Popen(argv, cwd=self.directory, stdout=log, stderr=log)

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise AssertionError(f"{name} ended: {(self.directory / f'{name}.log').read_text()[-2000:]}")
            self._write_kubeconfig()
            if self.kubectl("get", "--raw", "/readyz", check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError(f"the API server is not ready after {_START_S:.0f} s; see {self.directory}")

    # -- keys and rights ----------------------------------------------------------------------------------------

    def _write_keys(self) -> None:
        pki = self.directory / "pki"
        pki.mkdir(parents=True)
        (pki / "tokens.csv").write_text(f'{_TOKEN},admin,1,"system:masters"\n')
        rules = [{"level": "Metadata", "omitStages": ["RequestReceived"]}]
        policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules}
        (pki / "audit.yaml").write_text(yaml.safe_dump(policy))
        words = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", pki / "sa.key"]
        subprocess.run(words, check=True)

    def _write_kubeconfig(self) -> None:
        """Trust the certificate that the server has made for itself."""
        certificate = self.directory / "pki" / "apiserver.crt"
        if certificate.exists():
            self.write_kubeconfig(self.kubeconfig, _TOKEN)

    def write_kubeconfig(self, path: Path, token: str, namespace: str = "default") -> Path:
        """Write a kubeconfig for whoever has a token."""
        trusted = base64.b64encode((self.directory / "pki" / "apiserver.crt").read_bytes()).decode()
        cluster = {"server": self.url, "certificate-authority-data": trusted}
        context = {"cluster": "c", "user": "u", "namespace": namespace}
        named = {
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": context}],
        }
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "x", **named}))
        return path

    # -- what tests ask -----------------------------------------------------------------------------------------

    def kubectl(
        self, *words: str, text: str | None = None, check: bool = True, kubeconfig: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl; ``text`` is its standard input."""
        argv = [str(KUBE / "kubectl"), f"--kubeconfig={kubeconfig or self.kubeconfig}", *words]
        cache = {"HOME": str(self.directory), "PATH": os.environ["PATH"]}
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=120, check=False, env=cache)
        assert not check or done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done

    def apply(self, *objects: dict[str, Any], namespace: str = "default") -> None:
        """Apply objects as a user does."""
        whole = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        text = json.dumps(whole, default=lambda time: time.isoformat())
        self.kubectl("apply", "-n", namespace, "-f", "-", text=text)

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any] | None:
        """Return an object, or None."""
        done = self.kubectl("get", "-n", namespace, kind, name, "-o", "json", check=False)
        if done.returncode:
            assert "NotFound" in done.stderr, done.stderr
            return None
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@contextlib.contextmanager
def with_definitions(directory: Path, *words: str) -> Iterator[ApiServer]:
    """Start an API server that knows our resources."""
    from contimg_operator.crd import definitions  # noqa: PLC0415 - imports every stage's parameters

    with ApiServer(directory, *words) as server:
        server.apply(*definitions().values())
        for name in definitions():
            plural = f"{name.removesuffix('.yaml')}.contimg.dsa110.org"
            server.kubectl("wait", "--for=condition=Established", f"crd/{plural}", "--timeout=30s")
        yield server
