from __future__ import annotations

from datetime import UTC, datetime

from metered import value

from contimg.models.manifest import Manifest, Usage
from contimg.models.quality import judge
from contimg.worker.accounting import count_attempt, count_run

MANIFEST = Manifest(
    task="0" * 32, stage="weigh", recipe_version=1, version="0", unit="u", group="g", date="2026-01-25", params={},
    products=(), attempt=2, host="here", started=datetime.now(UTC), finished=datetime.now(UTC), verdict="degraded",
    figures=(judge("weigh.rms", 0.5, "Jy"), judge("weigh.flux.3C286", 14.0, "Jy"), judge("weigh.none", None)),
)  # fmt: skip


def test_an_attempt_counts_its_cost_by_its_end():
    count_attempt("weigh", "failed", Usage(wall_s=7.0, cpu_s=5.0, peak_bytes=300, written_bytes=40))
    count_attempt("weigh", "failed", Usage())
    assert value("contimg_attempt_seconds_sum", stage="weigh", outcome="failed") == 7.0
    assert value("contimg_attempt_seconds_count", stage="weigh", outcome="failed") == 2
    assert value("contimg_attempt_cpu_seconds_total", stage="weigh", outcome="failed") == 5.0
    assert value("contimg_attempt_written_bytes_total", stage="weigh") == 40
    assert value("contimg_attempt_peak_bytes", stage="weigh") == 300, "an attempt that did not begin has no peak"


def test_a_run_shows_verdict_tries_and_figures():
    count_run(MANIFEST)
    assert value("contimg_verdicts_total", stage="weigh", verdict="degraded") == 1
    assert value("contimg_task_tries_bucket", stage="weigh", le="1.0") == 0
    assert value("contimg_task_tries_bucket", stage="weigh", le="2.0") == 1
    assert value("contimg_figure", figure="weigh.rms", unit="Jy") == 0.5


def test_a_figure_that_names_a_source_or_has_no_value_is_left_out():
    count_run(MANIFEST)
    assert value("contimg_figure", figure="weigh.flux.3C286", unit="Jy") is None
    assert value("contimg_figure", figure="weigh.none", unit="") is None
