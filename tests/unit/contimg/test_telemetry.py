from __future__ import annotations

import json
import socket
import urllib.request

import pytest
import structlog

from contimg import telemetry


@pytest.fixture(autouse=True)
def _unconfigured():
    yield
    structlog.reset_defaults()


def test_json_lines_carry_what_was_bound(capsys):
    telemetry.configure_logging(json_lines=True)
    structlog.get_logger().bind(group="g", stage="image", attempt="a-1", trace="t").info("started", bytes=7)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "started", "level": "info", "group": "g", "stage": "image", "attempt": "a-1", "trace": "t", "bytes": 7,
    }  # fmt: skip


def test_the_level_comes_from_the_environment(capsys, monkeypatch):
    monkeypatch.setenv("CONTIMG_LOG_LEVEL", "warning")
    telemetry.configure_logging(json_lines=False)
    log = structlog.get_logger()
    log.info("not this")
    log.warning("but this")
    text = capsys.readouterr().err
    assert "not this" not in text
    assert "but this" in text


def test_metrics_are_served_behind_the_switch(monkeypatch):
    monkeypatch.delenv("CONTIMG_METRICS_PORT", raising=False)
    assert telemetry.serve_metrics() == 0
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    monkeypatch.setenv("CONTIMG_METRICS_PORT", str(port))
    assert telemetry.serve_metrics() == port
    telemetry.TASKS.labels("toy", "committed").inc()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert 'contimg_tasks_total{outcome="committed",stage="toy"}' in answer.read().decode()
