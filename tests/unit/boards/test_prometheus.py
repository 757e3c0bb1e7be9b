"""Queries, rules and pictures with a real Prometheus that scrapes this process."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from metered import registered
from prometheus_client import start_http_server

from boards import check, draw
from boards.alerts import ALERTS
from boards.board import Board, Kind, Panel, Query
from boards.files import BOARDS
from boards.prometheus import Prometheus
from contimg.telemetry import DATA_BYTES, DISK_FREE, DISK_SIZE, TASKS, expect_stage

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "contimg"
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("promtool") is None, reason="apt-get install prometheus (./run test does it)"),
]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    registered()
    expect_stage("sieve")
    DATA_BYTES.set({})  # other tests of this process may have left some
    DISK_FREE.set({("staging",): 60.0})
    DISK_SIZE.set({("staging",): 100.0})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server, thread = start_http_server(port, addr="127.0.0.1")
    targets = {f"127.0.0.1:{port}": {"namespace": "here"}}
    rules = CHART / "files" / "rules" / "contimg.yaml"
    with Prometheus(tmp_path_factory.mktemp("prometheus"), targets, interval_s=0.2, rules=rules) as running:
        end = time.monotonic() + 30
        while not running.instant("contimg_disk_size_bytes"):
            assert time.monotonic() < end
            time.sleep(0.1)
        yield running
    server.shutdown()
    thread.join()


def test_every_query_of_every_board_is_taken(prometheus):
    assert check.refused(prometheus) == []


def test_a_query_that_is_no_promql_is_told(prometheus, monkeypatch):
    wrong = Board("b", "B", "Why?", (Panel("P", "", "s", (Query("sum by (contimg_groups{$here}"),)),))
    monkeypatch.setattr(check, "BOARDS", (wrong,))
    found = check.refused(prometheus)
    assert len(found) == 1
    assert found[0].startswith("b: P: ")
    assert "parse error" in found[0]


def test_what_gives_nothing_is_named(prometheus):
    found = check.empty(prometheus)
    assert not any(line.startswith("disks: Free space") for line in found)
    assert any(line.startswith("disks: Data in the archive") for line in found)


def test_counters_of_a_stage_begin_at_zero(prometheus):
    """Without the zero, Prometheus would not see the first failure as a rise."""
    TASKS.labels("sieve", "dead").inc()
    end = time.monotonic() + 30
    while not (found := prometheus.instant('increase(contimg_tasks_total{stage="sieve",outcome="dead"}[1m]) > 0')):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert found[0]["metric"]["namespace"] == "here"


def test_an_alert_on_what_is_scraped(prometheus):
    """Nothing here is ready."""
    end = time.monotonic() + 30
    while "ContimgServiceDown" not in (found := {alert["labels"]["alertname"] for alert in prometheus.alerts()}):
        assert time.monotonic() < end, found
        time.sleep(0.1)


def test_a_board_is_drawn_and_says_what_it_has_nothing_for(prometheus, tmp_path):
    answers = draw.Answers(prometheus, time.time() - 5, time.time())
    board = next(board for board in BOARDS if board.name == "disks")
    empty = draw.draw(board, answers, tmp_path / "disks.png")
    assert (tmp_path / "disks.png").read_bytes().startswith(b"\x89PNG")
    assert "Free space" not in empty
    assert "Data in the archive" in empty


def test_numbers_lines_and_bars_have_series(prometheus):
    answers = draw.Answers(prometheus, time.time() - 2, time.time())
    for kind in Kind:
        panel = Panel("Free", "", "percentunit", (Query("contimg_disk_free_bytes{$here} / 100", "{{disk}}"),), kind)
        (name, points), *others = answers.series(panel)
        assert (name, points[-1][1], others) == ("staging", 0.6, [])


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "s", "0 ms"), (0.25, "s", "250 ms"), (90.0, "s", "1.5 min"), (200000.0, "s", "2.31 d"),
        (5.0, "short", "5"), (3 * 1024.0**3, "bytes", "3 GiB"), (0.123, "percentunit", "12.3 %"),
        (-120.0, "s", "-2 min"),
    ],
)  # fmt: skip
def test_a_number_is_written_with_its_unit(value, unit, text):
    assert draw.written(value, unit) == text


def test_rules_are_sound_and_fire_when_they_should():
    files = {"check": CHART / "files/rules/contimg.yaml", "test": ROOT / "tests/data/rules/contimg_test.yaml"}
    for command in ([word, "rules", path] for word, path in files.items()):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires():
    text = (ROOT / "tests/data/rules/contimg_test.yaml").read_text()
    for alert in ALERTS:
        parts = text.split(f"alertname: {alert.name}\n")[1:]
        assert any("exp_alerts" in part[:80] for part in parts), alert.name
        assert f"{{alertname: {alert.name}, eval_time" in text or alert.name == "ContimgServiceDown", "a quiet case"


def test_without_the_program_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="apt-get install prometheus"), Prometheus(tmp_path, {}):
        pass


def test_a_configuration_that_it_refuses_is_told(tmp_path):
    with pytest.raises(RuntimeError, match="does not serve"), Prometheus(tmp_path, {"not a host/path": {}}):
        pass
