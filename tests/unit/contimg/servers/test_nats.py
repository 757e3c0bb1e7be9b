from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from contimg.errors import BadConfig
from contimg.servers.nats import NatsServer


def test_it_starts_again_on_its_directory_with_the_same_port_and_password(tmp_path):
    server = NatsServer(tmp_path / "nats")
    with server:
        first = server.url, server.password
        pid = server.pid
    assert not psutil.pid_exists(pid)
    with NatsServer(tmp_path / "nats") as again:
        assert (again.url, again.password) == first
    assert (tmp_path / "nats" / "nats.conf").stat().st_mode & 0o077 == 0


DAMAGED = ["", "{garbage", "[]", '{"port": "far", "password": 5}', '{"port": 70000}', "\x00\xff" * 9]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_note_of_the_last_start_is_made_anew(text, tmp_path):
    """It held a port and a password that nobody else keeps."""
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "endpoint.json").write_text(text)
    with NatsServer(tmp_path / "nats") as server:
        assert len(server.password) > 16
        first = server.url, server.password
    with NatsServer(tmp_path / "nats") as again:
        assert (again.url, again.password) == first


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["directory", "fifo"])
def test_what_stands_in_the_place_of_the_note_is_named(make, tmp_path):
    (tmp_path / "nats").mkdir()
    make(tmp_path / "nats" / "endpoint.json")
    with pytest.raises(BadConfig, match=r"endpoint.json cannot be read .* remove it and start again"):
        NatsServer(tmp_path / "nats").start()


def test_a_taken_port_is_named_or_passed_by(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadConfig, match=f"port {port} on 127.0.0.1 is in use; choose another one, or 0"):
            NatsServer(tmp_path / "a", port=port).start()
        with NatsServer(tmp_path / "b") as server:
            old = int(server.url.rpartition(":")[2])
        with socket.create_server(("127.0.0.1", old)), NatsServer(tmp_path / "b") as server:
            assert server.url != f"nats://127.0.0.1:{old}"


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadConfig, match=r"cannot be made .* choose one you may write"):
        NatsServer(tmp_path / "file" / "nats").start()


def test_it_ends_with_the_process_that_started_it(tmp_path):
    code = (
        "import pathlib, signal, sys; from contimg.servers.nats import NatsServer;"
        "s = NatsServer(pathlib.Path(sys.argv[1])).start(); print(s.pid, flush=True); signal.pause()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    server = psutil.Process(int(parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    server.wait(10)
    assert not server.is_running()
