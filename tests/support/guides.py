"""The commands of a guide: fenced blocks ``sh KIND``, each a piece of one shell script."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["GUIDES", "KINDS", "block", "blocks"]

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
KINDS = {
    "server": "a bare API server will do: tests/unit/test_guides.py",
    "cluster": "a release with running pods: tests/cluster",
}
"""Where a block of a kind is run."""
_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str, kind: str) -> list[str]:
    """Return the commands of a kind, block by block, in the order of the page."""
    return [text for word, text in _found(page) if word == f"sh {kind}"]


def block(page: str, word: str) -> str:
    """Return the only block of another language."""
    (found,) = (text for each, text in _found(page) if each == word)
    return found


def _found(page: str) -> list[tuple[str, str]]:
    return _BLOCK.findall((GUIDES / f"{page}.md").read_text(encoding="utf-8"))
