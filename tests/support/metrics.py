"""Check the size and discipline of the source against the limits the project has set itself."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

SOURCES = ("shared", "services", "operator")
LIMITS = {"function p90": 40, "longest module": 500, "broad handlers in %": 5.0}
BROAD = {"Exception", "BaseException"}


def is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return handler.type is None or any(isinstance(kind, ast.Name) and kind.id in BROAD for kind in kinds)


def lines(folder: str) -> int:
    return sum(len(file.read_text().splitlines()) for file in Path(folder).rglob("*.py"))


def measure() -> dict[str, float]:
    files = [file for source in SOURCES for file in Path(source).rglob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    sizes = sorted(n.end_lineno - n.lineno + 1 for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    handlers = [node for node in nodes if isinstance(node, ast.ExceptHandler)]
    return {
        "function p90": sizes[int(0.9 * len(sizes))],
        "longest module": max(len(file.read_text().splitlines()) for file in files),
        "broad handlers in %": 100 * sum(map(is_broad, handlers)) / max(1, len(handlers)),
        "test lines / source lines": lines("tests") / sum(lines(source) for source in SOURCES),
    }


def main() -> int:
    figures = measure()
    for name, value in figures.items():
        print(f"{name}: {value:.2f}")
    beyond = [name for name, limit in LIMITS.items() if figures[name] > limit]
    if figures["test lines / source lines"] < 1.2:
        beyond.append("test lines / source lines")
    print("beyond the limit: " + ", ".join(beyond) if beyond else "all within the limits")
    return bool(beyond)


if __name__ == "__main__":
    sys.exit(main())
