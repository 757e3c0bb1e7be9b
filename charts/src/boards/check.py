"""Every query of every board, asked of a real Prometheus."""

from __future__ import annotations

from boards.board import everywhere
from boards.files import BOARDS
from boards.prometheus import Prometheus

__all__ = ["empty", "refused"]


def refused(prometheus: Prometheus) -> list[str]:
    """Return board, panel and error of every query that Prometheus does not take."""
    found = []
    for board, panel, expr in _queries():
        try:
            prometheus.instant(expr)
        except RuntimeError as error:
            found.append(f"{board}: {panel}: {error}: {expr}")
    return found


def empty(prometheus: Prometheus) -> list[str]:
    """Return board and panel of every query that gives no series now; some wait for an event that never came."""
    return [f"{board}: {panel}: {expr}" for board, panel, expr in _queries() if not prometheus.instant(expr)]


def _queries() -> list[tuple[str, str, str]]:
    every = [(board, panel, query) for board in BOARDS for panel in board.panels for query in panel.queries]
    return [(board.name, panel.title, everywhere(query.expr)) for board, panel, query in every]
