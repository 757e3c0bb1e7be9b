"""Ports, keys and refusals of the embedded server (its life is in tests/integration/test_archive_s3.py)."""

import json
import socket

import pytest

from contimg.errors import BadConfig, Unavailable
from contimg.servers import s3 as module
from contimg.servers.s3 import EmbeddedS3


def test_old_ports_are_taken_again_when_they_are_free():
    ports = module._choose_ports({})
    assert len(set(ports.values())) == len(ports) == 10
    assert module._choose_ports(ports) == ports


def test_port_in_use_gives_other_ports():
    ports = module._choose_ports({})
    with socket.socket() as held:
        held.bind(("127.0.0.1", ports["s3.port"]))
        held.listen()
        assert module._choose_ports(ports)["s3.port"] != ports["s3.port"]


def test_server_talks_to_this_machine_only_and_to_nobody_about_itself(tmp_path):
    command = module._command(tmp_path, tmp_path / "c", module._choose_ports({}))
    assert {"-ip.bind=127.0.0.1", "-master.telemetry=false", "-admin.ui=false", "-webdav=false"} < set(command)


def test_directory_that_is_a_file_is_named(tmp_path):
    (tmp_path / "s3").write_text("in the way")
    with pytest.raises(BadConfig, match=f"{tmp_path}/s3"):
        EmbeddedS3(tmp_path / "s3").start()


def test_program_that_ends_at_once_points_to_its_log(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "weed_program", lambda: "/bin/false")
    server = EmbeddedS3(tmp_path / "s3")
    with pytest.raises(Unavailable, match=r"s3\.log"):
        server.start()
    assert server.pid is None


def test_keys_are_generated_once_and_private(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "weed_program", lambda: "/bin/false")
    secrets = []
    for _ in range(2):
        with pytest.raises(Unavailable):
            EmbeddedS3(tmp_path / "s3").start()
        record = tmp_path / "s3/endpoint.json"
        assert record.stat().st_mode & 0o077 == 0
        secrets.append(json.loads(record.read_text())["secret_key"])
    assert secrets[0] == secrets[1]
    assert len(secrets[0]) >= 32


@pytest.mark.parametrize("text", ["{garbage", "[]", '{"access_key": 3}', '{"ports": {"s3.port": "x"}}', ""])
def test_damaged_keys_are_made_anew(text, tmp_path, monkeypatch):
    """The server takes its keys at every start; no object depends on them."""
    monkeypatch.setattr(module, "weed_program", lambda: "/bin/false")
    (tmp_path / "s3").mkdir()
    record = tmp_path / "s3/endpoint.json"
    record.write_text(text)
    with pytest.raises(Unavailable):
        EmbeddedS3(tmp_path / "s3").start()
    assert len(json.loads(record.read_text())["secret_key"]) >= 32
