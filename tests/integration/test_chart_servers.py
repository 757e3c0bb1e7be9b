"""The chart's message server, object store, keeper and ``helm test`` as processes, plain and encrypted.

Configuration, users, passwords, commands and variables are those of the rendered chart; only ports and directories
are the test's.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from apiserver import free_ports
from chart import containers, environment, find, needs_helm, rendered
from minio_server import needs_minio, serve_minio

from contimg.objectstore import S3Target
from contimg.servers import end_process, start_process
from contimg.servers.nats import nats_program
from contimg.store_setup import main as set_up

pytestmark = [pytest.mark.integration, needs_helm, needs_minio]
ENCRYPTED = ("nats.tls.existingSecret=t", "store.minio.tls.existingSecret=t", "ca.existingConfigMap=ca")
SERVICES = [
    "operator", "keeper", "ingest", "convert", "group", "solve", "apply", "image", "mosaic", "crossmatch", "publish",
]  # fmt: skip


@dataclass
class Release:
    """What runs of a release, and how to start the rest."""

    objects: list[dict[str, Any]]
    directory: Path
    bus: str
    store: S3Target
    ca: Path | None

    def volume(self, path: str) -> Path:
        return self.directory / "volumes" / path.strip("/")

    def variables(self, container: dict[str, Any]) -> dict[str, str]:
        """Return the variables of a container as they are here."""
        given = environment(container, self.objects)
        here = {"CONTIMG_NATS_URL": self.bus, "CONTIMG_S3_URL": self.store.url}
        here |= {name: str(self.ca) for name in ("CONTIMG_NATS_CA", "CONTIMG_S3_CA")}
        given |= {name: value for name, value in here.items() if name in given}
        for name in ("CONTIMG_STAGE_BASE", "CONTIMG_DATA_BASE", "CONTIMG_STATE_DIR", "CONTIMG_INCOMING_DIR"):
            given |= {name: str(self.volume(given[name]))} if name in given else {}
        return given

    def container(self, pod: str, name: str) -> dict[str, Any]:
        (found,) = [each for of, each in containers(self.objects) if of.startswith(pod) and each["name"] == name]
        return found

    def selftest(self, service: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run what ``helm test`` runs for a service."""
        container = self.container("contimg-test", service)
        words = [word.replace("=/", f"={self.directory}/volumes/") for word in container["command"][1:]]
        given = {"PATH": os.environ["PATH"], **self.variables(container), **changed}
        return subprocess.run([sys.executable, *words], env=given, capture_output=True, text=True, check=False)

    def listing(self) -> set[Path]:
        """Return all files but those that the keeper may write meanwhile."""
        return {path for name in ("staging", "data", "incoming") for path in self.volume(name).rglob("*")}


def certificates(directory):
    """Make an authority and a certificate of localhost; return its file, certificate and key."""
    names = ["-subj", "/CN=contimg", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    made = ["-keyout", "tls.key", "-out", "tls.crt"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *made]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    return directory / "tls.crt", directory / "tls.crt", directory / "tls.key"


def start_bus(objects, directory, port):
    """Start the message server with the chart's configuration and users."""
    text = find(objects, "ConfigMap", "contimg-nats")["data"]["nats.conf"]
    places = {"store_dir: /data": f"store_dir: {directory}/bus", "0.0.0.0:8222": "127.0.0.1:-1"}
    places |= {"0.0.0.0:4222": f"127.0.0.1:{port}", "/etc/nats-tls": str(directory)}
    for there, here in places.items():
        text = text.replace(there, here)
    (directory / "nats.conf").write_text(text)
    (container,) = find(objects, "StatefulSet", "contimg-nats")["spec"]["template"]["spec"]["containers"]
    given = [f"{name}={value}" for name, value in environment(container, objects).items()]
    words = ["env", *given, str(nats_program()), "--config", str(directory / "nats.conf")]
    return start_process(words, directory / "nats.log")


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    with serve_release(tmp_path_factory.mktemp("plain"), encrypted=False) as running:
        yield running


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory):
    with serve_release(tmp_path_factory.mktemp("encrypted"), encrypted=True) as running:
        yield running


@contextlib.contextmanager
def serve_release(directory, *, encrypted):
    """Run bus, store (set up by the chart's Job) and keeper of a release."""
    objects = rendered("local", "shard=north", *(ENCRYPTED if encrypted else ()))
    ca, *pair = certificates(directory) if encrypted else (None,)
    port, health = free_ports(2)
    with serve_minio(directory, *pair) as store:
        bus = f"tls://localhost:{port}" if encrypted else f"nats://127.0.0.1:{port}"
        running = Release(objects, directory, bus, store, ca)
        for name in ("staging", "data", "state", "incoming"):
            running.volume(name).mkdir(parents=True)
        server = start_bus(objects, directory, port)
        job = running.variables(running.container("contimg-store-setup", "store-setup"))
        set_up(job | {"CONTIMG_S3_ACCESS_KEY": store.access_key, "CONTIMG_S3_SECRET_KEY": store.secret_key})
        given = running.variables(running.container("contimg-keeper", "keeper")) | {"CONTIMG_PORT": str(health)}
        words = ["env", *(f"{name}={value}" for name, value in given.items()), sys.executable, "-m", "contimg.keeper"]
        keeper = start_process(words, directory / "keeper.log")
        wait_until_ready(health)
        yield running
        end_process(keeper)
        end_process(server)


def wait_until_ready(port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError("the keeper is not ready after 60 s")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_finds_what_it_is_given_and_leaves_nothing(release, service):
    before = release.listing()
    done = release.selftest(service)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("the keeper answers" in done.stdout) == (service not in {"keeper", "ingest"})
    assert ("may write to" in done.stdout) == (service == "publish")
    assert release.listing() == before


def test_with_one_authority_bus_and_store_are_trusted(encrypted):
    done = encrypted.selftest("publish")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tls://localhost" in done.stdout
    assert "https://localhost" in done.stdout


def test_who_trusts_another_authority_is_told_so(encrypted, tmp_path):
    stranger, *_ = certificates(tmp_path)
    done = encrypted.selftest("publish", CONTIMG_NATS_CA=str(stranger), CONTIMG_S3_CA=str(stranger))
    assert done.stdout.count("FAILED  ") == 2, done.stdout
    assert "(SSLError); give CONTIMG_S3_CA the certificates of its issuer" in done.stdout


PASSWORD, KEY = {"CONTIMG_NATS_PASSWORD": "wrong"}, {"CONTIMG_S3_SECRET_KEY": "wrong"}
NAME, BUCKET = {"CONTIMG_NATS_USER": "image"}, {"bucket": "nowhere"}
WRONG = {
    "password and key": (PASSWORD | KEY, ["bus: .*refuses user 'publish'", "object store: .*refuses access key"]),
    "name and bucket": (NAME | BUCKET, ["bus: .*refuses user 'image'", "object store: .*nowhere"]),
    "shard": ({"CONTIMG_SHARD": "south"}, ["bus"]),
    "a misspelt variable": ({"CONTIMG_NATS_USR": "publish"}, ["settings: .*CONTIMG_NATS_USR is unknown"]),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_is_named_and_the_rest_is_tried(release, fault):
    changed, expected = dict(WRONG[fault][0]), WRONG[fault][1]
    if bucket := changed.pop("bucket", ""):
        changed["CONTIMG_S3_URL"] = replace(release.store, bucket=bucket).url
    done = release.selftest("publish", **changed)
    assert done.returncode != 0
    for each in expected:
        assert re.search(f"FAILED  publish: {each}", done.stdout), done.stdout + done.stderr
    assert "settings" in expected[0] or "ok      publish: write" in done.stdout


def test_a_directory_that_is_not_there_is_named(release):
    hidden = release.volume("incoming").rename(release.volume("elsewhere"))
    done = release.selftest("ingest")
    hidden.rename(release.volume("incoming"))
    assert done.returncode == 1
    assert "FAILED  ingest: read" in done.stdout
    assert "incoming" in done.stdout


def test_three_servers_read_their_configuration(tmp_path):
    objects = rendered("production")
    text = find(objects, "ConfigMap", "contimg-nats")["data"]["nats.conf"]
    certificates(tmp_path)
    path = tmp_path / "nats.conf"
    path.write_text(text.replace("/data", str(tmp_path / "data")).replace("/etc/nats-tls", str(tmp_path)))
    (container,) = find(objects, "StatefulSet", "contimg-nats")["spec"]["template"]["spec"]["containers"]
    given = environment(container, objects)
    words = [str(nats_program()), "-t", "-c", str(path)]
    done = subprocess.run(words, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert given["CONTIMG_ROUTES"].count("contimg-nats-peers:6222") == 3
