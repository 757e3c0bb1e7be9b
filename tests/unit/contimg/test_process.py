"""Real processes with a real message server: how they start, wait, stay healthy and end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import until

from contimg.process import Health
from contimg.servers.nats import NatsServer

BODIES = Path(__file__).resolve().parents[2] / "support" / "process_bodies.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(body: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CONTIMG_")}
    process = subprocess.Popen(
        [sys.executable, str(BODIES), body],
        env=plain | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def asked(port: int, path: str) -> tuple[int, str]:
    """Return status and text; 0 while nobody serves the port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode().strip()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode().strip()
    except OSError:
        return 0, ""


def last_line(process: subprocess.Popen[str]) -> dict[str, str]:
    found: dict[str, str] = json.loads(process.communicate(timeout=20)[1].strip().splitlines()[-1])
    return found


def test_it_waits_for_a_server_that_is_not_up_and_goes_on_when_it_is(tmp_path):
    port = free_port()
    server = NatsServer(tmp_path, port=free_port())
    url = f"nats://127.0.0.1:{server._asked_port}"
    with started("waits", CONTIMG_NATS_URL=url, CONTIMG_PORT=str(port)) as process:
        until(lambda: asked(port, "/readyz")[0] == 503)
        assert asked(port, "/healthz") == (200, "ok")
        assert 'contimg_ready{service="waits"} 0.0' in asked(port, "/metrics")[1]
        assert "waits for the bus" in until(
            lambda: asked(port, "/readyz")[1].startswith("waits") and asked(port, "/readyz")[1]
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_it_stops_in_good_order(tmp_path):
    port = free_port()
    with NatsServer(tmp_path) as server:
        given = {
            "CONTIMG_NATS_URL": server.url,
            "CONTIMG_NATS_USER": server.user,
            "CONTIMG_NATS_PASSWORD": server.password,
        }
        with started("waits", CONTIMG_PORT=str(port), **given) as process:
            assert process.stdout.readline() == "connected\n"
            assert asked(port, "/readyz") == (200, "ok")
            status, metrics = asked(port, "/metrics")
            assert status == 200
            assert "contimg_attempt_seconds" in metrics
            assert 'contimg_ready{service="waits"} 1.0' in metrics
            assert 'contimg_bus_connected{service="waits"} 1.0' in metrics
            process.send_signal(signal.SIGTERM)
            assert process.stdout.readline() == "stopped in good order\n"
            assert process.wait(timeout=10) == 0


def test_a_wrong_password_ends_it_with_the_code_of_a_configuration_error(tmp_path):
    with NatsServer(tmp_path) as server:
        given = {"CONTIMG_NATS_URL": server.url, "CONTIMG_NATS_USER": server.user, "CONTIMG_NATS_PASSWORD": "wrong"}
        with started("waits", **given) as process:
            line = last_line(process)
            assert process.returncode == 78
            assert line["service"] == "waits"
            assert "password" in line["event"]
            assert "wrong" not in line["event"]


def test_sigterm_is_obeyed_at_once_at_any_moment():
    for pause in (0.0, 0.05, 0.1, 0.2, 0.4, 0.8):
        with started("waits", CONTIMG_NATS_URL="nats://127.0.0.1:1") as process:
            try:
                process.wait(timeout=pause)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) in (0, -signal.SIGTERM)


def test_a_second_sigterm_does_not_wait_for_the_body():
    with started("stubborn") as process:
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_the_grace_is_bounded():
    with started("short_grace") as process:
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_a_task_that_dies_beside_the_body_ends_the_process():
    with started("loses_a_task") as process:
        line = last_line(process)
        assert (process.returncode, line["error"]) == (4, "Damaged")
        assert line["event"] == "the thing beside the body is damaged; mend it"


def test_a_loop_that_stands_still_is_not_healthy():
    port = free_port()
    with started("stands_still", CONTIMG_PORT=str(port)) as process:
        assert process.stdout.readline() == "blocking\n"
        assert "stands still" in until(lambda: asked(port, "/healthz")[0] == 503 and asked(port, "/healthz")[1])


def test_orphans_are_reaped():
    with started("leaves_orphans") as process:
        assert process.communicate(timeout=30)[0] == "no zombie is left\n"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"CONTIMG_NATS_ULR": "nats://x"}, "CONTIMG_NATS_ULR is unknown"),
        ({}, "CONTIMG_NATS_URL is not set"),
        ({"CONTIMG_NATS_URL": "nats://127.0.0.1:1", "CONTIMG_LIMIT_TICK_S": "no"}, "CONTIMG_LIMIT_TICK_S"),
    ],
)
def test_a_wrong_environment_is_told_at_once(variables, said):
    with started("waits", **variables) as process:
        line = last_line(process)
        assert process.returncode == 78
        assert said in line["event"]


def test_a_port_in_use_is_told():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        with started(
            "waits", CONTIMG_PORT=str(taken.getsockname()[1]), CONTIMG_NATS_URL="nats://127.0.0.1:1"
        ) as process:
            assert "choose a free port" in last_line(process)["event"]


def test_health_judges_by_its_clock():
    now = [0.0]
    health = Health(30.0, clock=lambda: now[0])
    health.unready = ""
    assert health.answer("/readyz") == (200, "ok")
    now[0] = 31.0
    assert health.answer("/healthz")[0] == 503
    health.turn()
    assert health.answer("/healthz") == (200, "ok")
