"""The ten alerts, those that the design asks for first: data per directory, stuck work, growth of ``failed/``.

Each names a runbook in docs/monitoring.md. An alert speaks of one release: its label ``namespace``.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from ruamel.yaml import YAML

__all__ = ["ALERTS", "RUNBOOKS", "Alert", "rendered"]

RUNBOOKS = "docs/monitoring.md"
SERVICES = ("keeper", "operator", "ingest")


@dataclass(frozen=True)
class Alert:
    """When to call a person, and what to tell."""

    name: str
    expr: str
    for_: str
    """How long it must hold."""
    severity: str
    """critical: science stops; warning: it will."""
    summary: str
    """One sentence, with the labels in it."""


def _missing() -> str:
    """Return what is true of each service of a release that cannot work, or of all if nothing is scraped at all.

    A process that has lost the message server stays ready, since ending or avoiding it mends nothing, but cannot work.
    """
    release = "(group by (namespace) (contimg_ready) or absent(contimg_ready))"
    expected = " or ".join(f'label_replace({release}, "service", "{name}", "", "")' for name in SERVICES)
    working = "(contimg_ready == 1 unless contimg_bus_connected == 0)"
    return f"({expected}) unless on (namespace, service) {working}"


ALERTS = (
    Alert(
        "ContimgDirectoryLarge",
        'sum by (namespace, directory, data_type) (contimg_data_bytes{disk="staging"})'
        " / on (namespace) group_left ()"
        ' max by (namespace) (contimg_disk_size_bytes{disk="staging"}) > 0.5',
        "1h",
        "warning",
        "{{ $labels.directory }} holds {{ $value | humanizePercentage }} of the fast disk",
    ),
    Alert(
        "ContimgWorkStuck",
        'contimg_workspace_attempts{state="overdue"} > 0 or (contimg_workspace_attempts{state="abandoned"} > 0'
        ' and contimg_workspace_attempts{state="abandoned"} offset 2h > 0)',
        "15m",
        "warning",
        "{{ $value }} attempts in workspace/active/{{ $labels.workspace }} are {{ $labels.state }}",
    ),
    Alert(
        "ContimgFailedGrowing",
        "delta(contimg_failed_files[1h]) > 20 or delta(contimg_failed_bytes[1h]) > 1e9",
        "0m",
        "warning",
        "workspace/failed grew by {{ $value | humanize }} (files or bytes) within an hour",
    ),
    Alert(
        "ContimgDiskFilling",
        "contimg_disk_free_bytes / contimg_disk_size_bytes < 0.1"
        " or (predict_linear(contimg_disk_free_bytes[6h], 86400) < 0"
        " and contimg_disk_free_bytes / contimg_disk_size_bytes < 0.5)",
        "15m",
        "critical",
        "disk {{ $labels.disk }} is or will be full within a day",
    ),
    Alert(
        "ContimgServiceDown",
        _missing(),
        "5m",
        "critical",
        "no {{ $labels.service }} can work in {{ $labels.namespace }}",
    ),
    Alert(
        "ContimgQueueUnattended",
        "(time() - min by (namespace, stage) (contimg_bus_oldest_timestamp_seconds) > 900)"
        ' and on (namespace, stage) sum by (namespace, stage) (contimg_bus_tasks{state="waiting"}) > 0'
        " unless on (namespace, stage) sum by (namespace, stage) (contimg_in_hand) > 0",
        "5m",
        "critical",
        "tasks of stage {{ $labels.stage }} wait for {{ $value | humanizeDuration }} and no worker has one in hand",
    ),
    Alert(
        "ContimgStageFailing",
        'sum by (namespace, stage) (increase(contimg_tasks_total{outcome="dead"}[1h])) >= 1'
        ' or (sum by (namespace, stage) (increase(contimg_tasks_total{outcome="failed"}[1h]))'
        ' / sum by (namespace, stage) (increase(contimg_tasks_total{outcome="started"}[1h])) > 0.25'
        ' and sum by (namespace, stage) (increase(contimg_tasks_total{outcome="failed"}[1h])) >= 3)',
        "0m",
        "warning",
        "stage {{ $labels.stage }} fails: tasks were given up, or a quarter of the attempts failed within an hour",
    ),
    Alert(
        "ContimgGroupStalled",
        'sum by (namespace, reason) (contimg_groups{condition="Stalled",status="True"}) > 0'
        ' or sum by (namespace, reason) (contimg_groups{condition="Succeeded",status="False"}) > 0',
        "30m",
        "warning",
        "{{ $value }} groups need a person: {{ $labels.reason }}",
    ),
    Alert(
        "ContimgBusFull",
        'contimg_bus_stream_bytes{stream="CONTIMG_TASKS"} / contimg_bus_stream_limit_bytes > 0.8',
        "10m",
        "critical",
        "the work queue is {{ $value | humanizePercentage }} full; at 100 % no task can be asked for",
    ),
    Alert(
        "ContimgWatchStale",
        "time() - contimg_watch_timestamp_seconds > 900",
        "0m",
        "critical",
        "the operator has not heard of {{ $labels.resource }} for {{ $value | humanizeDuration }}",
    ),
)


def rendered() -> str:
    """Return the rules as Prometheus and the operator of Prometheus read them."""
    rules = [
        {
            "alert": alert.name,
            "expr": alert.expr,
            "for": alert.for_,
            "labels": {"severity": alert.severity},
            "annotations": {"summary": alert.summary, "runbook_url": f"{RUNBOOKS}#{alert.name.lower()}"},
        }
        for alert in ALERTS
    ]
    writer, text = YAML(), io.StringIO()
    writer.width = 4096
    writer.dump({"groups": [{"name": "contimg", "rules": rules}]}, text)
    return text.getvalue()
