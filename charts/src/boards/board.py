"""What a board is, and its JSON for Grafana.

A query says ``$here`` where it selects a release: Grafana puts the chosen namespaces there, everybody else takes all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from grafana_foundation_sdk.builders import bargauge, common, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import VizOrientation
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh

__all__ = ["Board", "Kind", "Panel", "Query", "everywhere", "quantile", "rendered"]

WIDTH, HEIGHT = 12, 8
"""Of a panel, in Grafana's units: two stand side by side."""
_SOURCE = DataSourceRef(type_val="prometheus", uid="$source")


class Kind(StrEnum):
    """How a panel shows its queries."""

    SERIES = "series"
    """Lines over time."""
    BARS = "bars"
    """One bar per series, now."""
    NUMBERS = "numbers"
    """One number per series, now."""


@dataclass(frozen=True)
class Query:
    """One PromQL expression and the name of its series, ``{{label}}`` in Grafana's way."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One picture: what it shows, in a sentence, and what to read from it."""

    title: str
    text: str
    unit: str
    """Of Grafana: s, bytes, short, percentunit."""
    queries: tuple[Query, ...]
    kind: Kind = Kind.SERIES


@dataclass(frozen=True)
class Board:
    """The panels that answer one question."""

    name: str
    """Of the file."""
    title: str
    question: str
    panels: tuple[Panel, ...]
    hours: int = 12
    """Time that is shown."""


def quantile(share: float, metric: str, labels: str, *by: str, window: str = "$__rate_interval") -> str:
    """Return a quantile of a histogram over a window."""
    kept = ", ".join(("le", *by))
    return f"histogram_quantile({share}, sum by ({kept}) (rate({metric}_bucket{{{labels}}}[{window}])))"


def everywhere(expr: str, range_: str = "1h", rate: str = "5m") -> str:
    """Return an expression for Prometheus itself, of all releases, with Grafana's words for times replaced."""
    chosen = _expression(expr).replace("$namespace", ".*")
    return chosen.replace("$__rate_interval", rate).replace("$__range", range_)


def _expression(expr: str) -> str:
    return expr.replace("$here", 'namespace=~"$namespace"')


def rendered(board: Board) -> str:
    """Return the board as Grafana reads it."""
    made = (
        Dashboard(f"Contimg: {board.title}")
        .uid(f"contimg-{board.name}")
        .description(board.question)
        .tags(["contimg"])
        .time(f"now-{board.hours}h", "now")
        .refresh("1m")
        .timezone("utc")
        .readonly()
        .with_variable(DatasourceVariable("source").label("Data source").type("prometheus"))
        .with_variable(_namespaces())
    )
    for panel in board.panels:
        made = made.with_panel(_panel(panel))
    return json.dumps(made.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _namespaces() -> QueryVariable:
    variable = QueryVariable("namespace").label("Release").datasource(_SOURCE)
    return (
        variable.query("label_values(contimg_ready, namespace)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _panel(panel: Panel) -> timeseries.Panel | bargauge.Panel | stat.Panel:
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"])
    made: timeseries.Panel | bargauge.Panel | stat.Panel
    if panel.kind is Kind.SERIES:
        made = timeseries.Panel().fill_opacity(8).min(0)
    elif panel.kind is Kind.BARS:
        made = bargauge.Panel().reduce_options(reduced).orientation(VizOrientation.HORIZONTAL).min(0)
    else:
        made = stat.Panel().reduce_options(reduced)
    made = made.title(panel.title).description(panel.text).unit(panel.unit).datasource(_SOURCE)
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        made = made.with_target(_query(query, letter, instant=panel.kind is not Kind.SERIES))
    return made.span(WIDTH).height(HEIGHT)


def _query(query: Query, letter: str, *, instant: bool) -> Dataquery:
    made = Dataquery().expr(_expression(query.expr)).ref_id(letter).legend_format(query.legend).datasource(_SOURCE)
    return made.instant() if instant else made.range()
