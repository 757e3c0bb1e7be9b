from __future__ import annotations

import json

import pytest
import structlog
from prometheus_client import generate_latest

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


def test_outcomes_of_attempts_are_counted_by_stage():
    telemetry.TASKS.labels("toy", "committed").inc()
    assert 'contimg_tasks_total{outcome="committed",stage="toy"}' in generate_latest().decode()
