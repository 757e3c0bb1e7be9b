"""Boards as pictures: what Grafana would show, drawn from the answers of a real Prometheus."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from boards.board import Board, Kind, Panel, everywhere
from boards.prometheus import Prometheus

__all__ = ["Answers", "draw"]

STEPS = 240
"""Points of a line."""
SHOWN = 9
"""Series of a panel that are named."""
_GREY = "#5a6370"
_STEPS = {
    "percentunit": ((0.01, "%"),),
    "s": ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")),
    "bytes": ((1024.0**4, "TiB"), (1024.0**3, "GiB"), (1024.0**2, "MiB"), (1024.0, "KiB"), (1.0, "B")),
}
"""How a unit is written: size and name, the largest first."""


@dataclass(frozen=True)
class Answers:
    """Who is asked, and about which time (seconds since 1970)."""

    prometheus: Prometheus
    start: float
    end: float

    def series(self, panel: Panel) -> list[tuple[str, list[tuple[float, float]]]]:
        """Return name and points of every series of a panel, the largest first."""
        found = []
        for query in panel.queries:
            expr = everywhere(query.expr, range_=f"{math.ceil(self.end - self.start)}s", rate="1m")
            for one in self._ask(expr, panel.kind):
                points = [(at, float(value)) for at, value in one.get("values") or [one["value"]]]
                finite = [(at, value) for at, value in points if math.isfinite(value)]
                if finite:
                    found.append((_named(query.legend, one["metric"]), finite))
        return found

    def _ask(self, expr: str, kind: Kind) -> list[dict[str, Any]]:
        if kind is Kind.SERIES:
            return self.prometheus.over(expr, self.start, self.end, (self.end - self.start) / STEPS)
        return self.prometheus.instant(expr, self.end)


def _named(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend) or "value"


def written(value: float, unit: str) -> str:
    """Return a number as Grafana writes it, with its unit."""
    if unit not in _STEPS:
        return f"{value:.3g}"
    size, name = _step(value, unit)
    return f"{value / size:.3g} {name}" if value else f"0 {name}"


def _step(value: float, unit: str) -> tuple[float, str]:
    """Return size and name of the unit in which a number is written."""
    steps = _STEPS.get(unit, ((1.0, ""),))
    return next((step for step in steps if abs(value) >= step[0]), steps[-1])


def draw(board: Board, answers: Answers, path: Path) -> list[str]:
    """Draw a board as PNG; return the titles of the panels for which there was nothing to show."""
    rows = math.ceil(len(board.panels) / 2)
    figure = Figure(figsize=(15, 3.5 * rows + 0.9), layout="constrained")
    axes = figure.subplots(rows, 2)
    figure.suptitle(f"{board.title}: {board.question}", fontsize=16, fontweight="bold", x=0.01, ha="left")
    empty = []
    for axis, panel in zip(axes.flat, board.panels, strict=False):
        found = answers.series(panel)
        axis.set_title(panel.title, loc="left", fontsize=12, fontweight="bold")
        if not found:
            empty.append(panel.title)
            _words(axis, "nothing to show")
        else:
            _PAINTERS[panel.kind](axis, panel, found)
    for axis in list(axes.flat)[len(board.panels) :]:
        axis.set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80, metadata={"Software": None})
    return empty


def _words(axis: Axes, text: str) -> None:
    axis.set_axis_off()
    axis.text(0.5, 0.5, text, ha="center", va="center", color=_GREY, transform=axis.transAxes)


def _lines(axis: Axes, panel: Panel, found: list[tuple[str, list[tuple[float, float]]]]) -> None:
    ranked = sorted(found, key=lambda item: -max(value for _, value in item[1]))
    for number, (name, points) in enumerate(ranked):
        times = [datetime.fromtimestamp(at, UTC) for at, _ in points]
        label = f"{name}  {written(points[-1][1], panel.unit)}" if number < SHOWN else None
        marker = "o" if len(points) == 1 else None
        axis.plot(times, [value for _, value in points], lw=1.6, color=f"C{number % 10}", label=label, marker=marker)  # type: ignore[arg-type]
    top = max(value for _, points in found for _, value in points)
    axis.set_ylim(0, 1.1 * top if top > 0 else 1)
    size, _ = _step(top, panel.unit)
    ticks = [tick * size for tick in MaxNLocator(5).tick_values(0, top / size)]
    axis.set_yticks([tick for tick in ticks if tick <= axis.get_ylim()[1]])
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, panel.unit)))
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _bars(axis: Axes, panel: Panel, found: list[tuple[str, list[tuple[float, float]]]]) -> None:
    ranked = sorted(found, key=lambda item: item[1][-1][1])
    values = [points[-1][1] for _, points in ranked]
    bars = axis.barh([name for name, _ in ranked], values, color="C0", height=0.6)
    axis.bar_label(bars, [written(value, panel.unit) for value in values], padding=4, fontsize=8)
    axis.set_xlim(0, 1.18 * max(*values, 0.0) if max(values) > 0 else 1)
    axis.tick_params(axis="y", labelsize=8)
    axis.xaxis.set_visible(False)
    axis.spines[["top", "right", "bottom"]].set_visible(False)


def _numbers(axis: Axes, panel: Panel, found: list[tuple[str, list[tuple[float, float]]]]) -> None:
    axis.set_axis_off()
    for number, (name, points) in enumerate(found):
        place = (number + 0.5) / len(found)
        text = written(points[-1][1], panel.unit)
        axis.text(place, 0.55, text, ha="center", va="center", fontsize=26, transform=axis.transAxes)
        axis.text(place, 0.25, name, ha="center", va="center", fontsize=9, color=_GREY, transform=axis.transAxes)


_PAINTERS = {Kind.SERIES: _lines, Kind.BARS: _bars, Kind.NUMBERS: _numbers}
