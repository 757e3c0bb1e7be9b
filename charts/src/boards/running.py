"""Boards for whoever runs it: disks, health, cost."""

from __future__ import annotations

from boards.board import Board, Kind, Panel, Query, quantile

__all__ = ["COST", "DISKS", "HEALTH"]

DISKS = Board(
    "disks",
    "Disks",
    "Will a disk be full?",
    (
        Panel(
            "Free space",
            "Share of each disk that is free; workers stop starting tasks when a disk has no room for them.",
            "percentunit",
            (
                Query(
                    "min by (disk) (contimg_disk_free_bytes{$here} / contimg_disk_size_bytes{$here})",
                    "{{disk}}",
                ),
            ),
            Kind.BARS,
        ),
        Panel(
            "Free bytes",
            "The alert looks a day ahead along these lines.",
            "bytes",
            (Query("min by (disk) (contimg_disk_free_bytes{$here})", "{{disk}}"),),
        ),
        Panel(
            "Data on staging",
            "Bytes of committed runs by data type and directory.",
            "bytes",
            (
                Query(
                    'sum by (data_type, directory) (contimg_data_bytes{disk="staging",$here})',
                    "{{data_type}} in {{directory}}",
                ),
            ),
        ),
        Panel(
            "Data in the archive",
            "Bytes that were published, by data type.",
            "bytes",
            (
                Query(
                    'sum by (data_type, directory) (contimg_data_bytes{disk="archive",$here})',
                    "{{data_type}} in {{directory}}",
                ),
            ),
        ),
        Panel(
            "Products",
            "How many of each type there are, on staging and in the archive.",
            "short",
            (Query("sum by (disk, data_type) (contimg_products{$here})", "{{disk}} {{data_type}}"),),
            Kind.BARS,
        ),
        Panel(
            "Attempts at work",
            "Bytes in workspace/active.",
            "bytes",
            (Query("sum by (workspace) (contimg_workspace_bytes{$here})", "{{workspace}}"),),
        ),
        Panel(
            "Failed work",
            "Files in workspace/failed: error logs and what failed attempts left. They go after two weeks.",
            "short",
            (Query("sum(contimg_failed_files{$here})", "files"),),
        ),
        Panel(
            "Bytes of failed work",
            "Of the same files.",
            "bytes",
            (Query("sum(contimg_failed_bytes{$here})", "bytes"),),
        ),
    ),
    hours=48,
)

HEALTH = Board(
    "health",
    "Health",
    "Are bus, keeper and operator healthy?",
    (
        Panel(
            "Ready",
            "1: the processes of a service can work. 0: one waits, its /readyz says for what.",
            "short",
            (Query("min by (service) (contimg_ready{$here})", "{{service}}"),),
            Kind.BARS,
        ),
        Panel(
            "Streams of the bus",
            "How full each is; CONTIMG_TASKS takes no more tasks at 100 %.",
            "percentunit",
            (
                Query(
                    "max by (stream) (contimg_bus_stream_bytes{$here} / contimg_bus_stream_limit_bytes{$here})",
                    "{{stream}}",
                ),
            ),
        ),
        Panel(
            "Dead letters and lost connections",
            "Copies of tasks that were given up (30 days), and processes without a connection to the bus.",
            "short",
            (
                Query('sum(contimg_bus_stream_messages{stream="CONTIMG_DEAD",$here})', "dead letters"),
                Query("count(contimg_bus_connected{$here} == 0) or vector(0)", "processes without the bus"),
            ),
            Kind.NUMBERS,
        ),
        Panel(
            "Answers of the keeper",
            "99 % are faster; scan and clean-up beside them.",
            "s",
            (Query(quantile(0.99, "contimg_keeper_seconds", "$here", "verb"), "{{verb}}"),),
        ),
        Panel(
            "Looks of the operator",
            "99 % of the reconciles are faster, by what was looked at.",
            "s",
            (Query(quantile(0.99, "contimg_reconcile_seconds", "$here", "kind"), "{{kind}}"),),
        ),
        Panel(
            "Writes of the operator",
            "Statuses per minute and what came of them; calls to the API server that failed.",
            "short",
            (
                Query(
                    "sum by (kind, outcome) (rate(contimg_status_writes_total{$here}[$__rate_interval])) * 60",
                    "{{kind}} {{outcome}}",
                ),
                Query(
                    'sum by (code) (rate(contimg_api_calls_total{code!~"2..",$here}[$__rate_interval])) * 60',
                    "API server: {{code}}",
                ),
            ),
        ),
        Panel(
            "Age of the watches",
            "Since the API server was last heard of; above 15 minutes a watch is frozen.",
            "s",
            (Query("time() - min by (resource) (contimg_watch_timestamp_seconds{$here})", "{{resource}}"),),
        ),
        Panel(
            "Memory",
            "Resident memory of each process; the attempts of workers are on board Stages.",
            "bytes",
            (
                Query(
                    "sum by (service) (process_resident_memory_bytes{$here}"
                    " * on (instance) group_left (service) topk by (instance) (1, 1 + 0 * contimg_ready{$here}))",
                    "{{service}}",
                ),
            ),
        ),
    ),
)

COST = Board(
    "cost",
    "Cost",
    "What did last night cost?",
    (
        Panel(
            "Processor time",
            "Of all attempts in the time shown, by stage.",
            "s",
            (Query("sum by (stage) (increase(contimg_attempt_cpu_seconds_total{$here}[$__range]))", "{{stage}}"),),
            Kind.BARS,
        ),
        Panel(
            "Lost processor time",
            "Of attempts that failed or were handed back.",
            "s",
            (
                Query(
                    "sum by (stage) (increase("
                    'contimg_attempt_cpu_seconds_total{outcome!="committed",$here}[$__range]))',
                    "{{stage}}",
                ),
            ),
            Kind.BARS,
        ),
        Panel(
            "Bytes written",
            "By all attempts in the time shown.",
            "bytes",
            (Query("sum by (stage) (increase(contimg_attempt_written_bytes_total{$here}[$__range]))", "{{stage}}"),),
            Kind.BARS,
        ),
        Panel(
            "Groups published",
            "In the time shown.",
            "short",
            (Query("round(sum(increase(contimg_group_seconds_count{$here}[$__range])))", "groups"),),
            Kind.NUMBERS,
        ),
        Panel(
            "Growth of the archive",
            "Bytes published in the time shown.",
            "bytes",
            (
                Query(
                    'sum(contimg_data_bytes{disk="archive",$here})'
                    ' - (sum(contimg_data_bytes{disk="archive",$here} offset $__range) or vector(0))',
                    "published",
                ),
            ),
            Kind.NUMBERS,
        ),
        Panel(
            "Processor time of a group",
            "All attempts of the time shown, divided by the groups that were published.",
            "s",
            (
                Query(
                    "sum(increase(contimg_attempt_cpu_seconds_total{$here}[$__range]))"
                    " / sum(increase(contimg_group_seconds_count{$here}[$__range]))",
                    "per group",
                ),
            ),
            Kind.NUMBERS,
        ),
        Panel(
            "Processors in use",
            "By attempts, by stage: cores at work.",
            "short",
            (Query("sum by (stage) (rate(contimg_attempt_cpu_seconds_total{$here}[$__rate_interval]))", "{{stage}}"),),
        ),
        Panel(
            "Peak memory",
            "Of the largest attempt in the time shown.",
            "bytes",
            (Query("max by (stage) (max_over_time(contimg_attempt_peak_bytes{$here}[$__range]))", "{{stage}}"),),
            Kind.BARS,
        ),
    ),
    hours=24,
)
