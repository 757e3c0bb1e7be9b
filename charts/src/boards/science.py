"""Boards for astronomers: tonight, stages, products."""

from __future__ import annotations

from boards.board import Board, Kind, Panel, Query, quantile

__all__ = ["PRODUCTS", "STAGES", "TONIGHT"]

TONIGHT = Board(
    "tonight",
    "Tonight",
    "Is tonight on time and what waits why?",
    (
        Panel(
            "Groups",
            "How many groups are published, go on, wait for a person, or failed.",
            "short",
            (
                Query('sum(contimg_groups{condition="Succeeded",status="True",$here})', "published"),
                Query('sum(contimg_groups{condition="Progressing",status="True",$here})', "go on"),
                Query('sum(contimg_groups{condition="Stalled",status="True",$here}) or vector(0)', "stalled"),
                Query('sum(contimg_groups{condition="Succeeded",status="False",$here}) or vector(0)', "failed"),
            ),
            Kind.NUMBERS,
        ),
        Panel(
            "Why groups wait or go on",
            "Unfinished groups by the reason of their condition; docs/reasons.md says what ends each.",
            "short",
            (
                Query('sum by (reason) (contimg_groups{condition="Progressing",status!="False",$here})', "{{reason}}"),
                Query(
                    'sum by (reason) (contimg_groups{condition="Stalled",status="True",$here})', "stalled {{reason}}"
                ),
            ),
        ),
        Panel(
            "Age of the oldest unfinished group",
            "Since it was seen first. A line that rises for hours is a group that is late.",
            "s",
            (Query("time() - min by (phase) (contimg_groups_oldest_timestamp_seconds{$here})", "{{phase}}"),),
        ),
        Panel(
            "Time to publication",
            "From the first sight of a group to its publication, of the groups published in the time shown.",
            "s",
            (
                Query(quantile(0.5, "contimg_group_seconds", "$here", window="$__range"), "half are faster"),
                Query(quantile(0.95, "contimg_group_seconds", "$here", window="$__range"), "95 % are faster"),
            ),
            Kind.NUMBERS,
        ),
        Panel(
            "Tasks on the bus",
            "Waiting for a worker, in hand or pausing before the next try, by stage.",
            "short",
            (
                Query(
                    'sum by (stage, state) (contimg_bus_tasks{state!="redelivered",$here}) > 0', "{{stage}} {{state}}"
                ),
            ),
        ),
        Panel(
            "Age of the oldest task",
            "Since it was asked for. Compare with what a task of the stage takes (board Stages).",
            "s",
            (Query("time() - min by (stage) (contimg_bus_oldest_timestamp_seconds{$here})", "{{stage}}"),),
        ),
        Panel(
            "Recordings",
            "File sets that became final since ingest was started, and those that are still being written.",
            "short",
            (
                Query("sum by (state) (contimg_ingest_observations_total{$here})", "{{state}}"),
                Query("sum(contimg_ingest_unsealed{$here})", "being written"),
            ),
        ),
        Panel(
            "Age of the newest raw file",
            "A line that only rises: nothing arrives.",
            "s",
            (Query("time() - max(contimg_ingest_last_file_timestamp_seconds{$here})", "newest file"),),
        ),
    ),
)

STAGES = Board(
    "stages",
    "Stages",
    "Is a stage slow or failing?",
    (
        Panel(
            "Tasks done per hour",
            "Committed runs by stage.",
            "short",
            (Query('sum by (stage) (increase(contimg_tasks_total{outcome="committed",$here}[1h])) > 0', "{{stage}}"),),
        ),
        Panel(
            "Attempts that failed per hour",
            "Attempts that failed or lost their worker, and tasks that were given up. Zero is the rule.",
            "short",
            (
                Query(
                    "sum by (stage, outcome) "
                    '(increase(contimg_tasks_total{outcome=~"failed|lost|dead",$here}[1h])) > 0',
                    "{{stage}} {{outcome}}",
                ),
                Query('sum(increase(contimg_tasks_total{outcome=~"failed|lost|dead",$here}[1h]))', "all"),
            ),
        ),
        Panel(
            "Median time of an attempt",
            "Wall time of committed attempts in the time shown.",
            "s",
            (
                Query(
                    quantile(0.5, "contimg_attempt_seconds", 'outcome="committed",$here', "stage", window="$__range"),
                    "{{stage}}",
                ),
            ),
            Kind.BARS,
        ),
        Panel(
            "Slow attempts",
            "95 % of the committed attempts of the last hour were faster.",
            "s",
            (
                Query(
                    quantile(0.95, "contimg_attempt_seconds", 'outcome="committed",$here', "stage", window="1h"),
                    "{{stage}}",
                ),
            ),
        ),
        Panel(
            "Tasks that needed more than one try",
            "Share of the tasks that ended in the time shown.",
            "percentunit",
            (
                Query(
                    '1 - sum by (stage) (increase(contimg_task_tries_bucket{le="1.0",$here}[$__range]))'
                    " / sum by (stage) (increase(contimg_task_tries_count{$here}[$__range]))",
                    "{{stage}}",
                ),
            ),
            Kind.BARS,
        ),
        Panel(
            "Tasks in hand",
            "What the workers of each stage hold now.",
            "short",
            (Query("sum by (stage) (contimg_in_hand{$here})", "{{stage}}"),),
        ),
        Panel(
            "Peak memory against the limit",
            "Of the last attempt; a child is ended at its limit (ResourceExhausted).",
            "percentunit",
            (
                Query(
                    "max by (stage) (contimg_attempt_peak_bytes{$here})"
                    " / min by (stage) (contimg_memory_limit_bytes{$here})",
                    "{{stage}}",
                ),
            ),
            Kind.BARS,
        ),
        Panel(
            "Work on the fast disk",
            "Attempt directories: at work, longer at work than the stage may be, left behind by a lost worker.",
            "short",
            (Query("sum by (state) (contimg_workspace_attempts{$here})", "{{state}}"),),
        ),
    ),
)

PRODUCTS = Board(
    "products",
    "Products",
    "Are the products good?",
    (
        Panel(
            "Runs on staging by verdict",
            "What the runs that are kept were judged to be.",
            "short",
            (Query("sum by (data_type, verdict) (contimg_runs{$here})", "{{data_type}} {{verdict}}"),),
            Kind.BARS,
        ),
        Panel(
            "Verdicts of the last hour",
            "Runs that did not pass, by stage.",
            "short",
            (
                Query(
                    'sum by (stage, verdict) (increase(contimg_verdicts_total{verdict!="pass",$here}[1h])) > 0',
                    "{{stage}} {{verdict}}",
                ),
                Query('sum(increase(contimg_verdicts_total{verdict="pass",$here}[1h]))', "passed"),
            ),
        ),
        Panel(
            "Noise",
            "Of the last image and the last mosaic, in Jy/beam. Did it get worse since last week?",
            "short",
            (Query('max by (figure) (contimg_figure{figure=~".*[.](rms|noise)",unit="Jy/beam",$here})', "{{figure}}"),),
        ),
        Panel(
            "Flagged data",
            "Share of the last run of each stage that was thrown away.",
            "percentunit",
            (Query('max by (figure) (contimg_figure{figure=~".*flagged",unit="",$here})', "{{figure}}"),),
        ),
        Panel(
            "Calibration",
            "Signal to noise of the last solutions.",
            "short",
            (Query('max by (figure) (contimg_figure{figure=~"solve[.].*snr",$here})', "{{figure}}"),),
        ),
        Panel(
            "Positions against catalogs",
            "Offset of the last mosaic's sources, in arcseconds.",
            "short",
            (Query('max by (figure) (contimg_figure{figure=~".*offset.*",unit="arcsec",$here})', "{{figure}}"),),
        ),
        Panel(
            "Dynamic range and completeness",
            "Of the last image and the last catalog.",
            "short",
            (
                Query(
                    'max by (figure) (contimg_figure{figure=~"image[.]dynamic_range|crossmatch[.]completeness",$here})',
                    "{{figure}}",
                ),
            ),
            Kind.NUMBERS,
        ),
        Panel(
            "Raw files that were refused",
            "By reason, since ingest was started; contimg get quarantine names the files.",
            "short",
            (
                Query("sum by (reason) (contimg_ingest_quarantined_total{$here})", "{{reason}}"),
                Query('sum(contimg_ingest_observations_total{state="incomplete",$here})', "incomplete file sets"),
            ),
            Kind.BARS,
        ),
    ),
    hours=7 * 24,
)
