"""Which files the chart holds of boards and rules."""

from __future__ import annotations

from pathlib import Path

from boards import alerts, board
from boards.running import COST, DISKS, HEALTH
from boards.science import PRODUCTS, STAGES, TONIGHT

__all__ = ["BOARDS", "contents", "write"]

BOARDS = (TONIGHT, STAGES, PRODUCTS, DISKS, HEALTH, COST)


def contents() -> dict[str, str]:
    """Return the text of every generated file by its path below ``charts/contimg/files``."""
    found = {f"dashboards/{one.name}.json": board.rendered(one) for one in BOARDS}
    return found | {"rules/contimg.yaml": alerts.rendered()}


def write(directory: Path) -> None:
    """Write them."""
    for name, text in contents().items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
