"""The users' TOML files: a list of calls ``package.module.Class(key=value)`` and tables with the keys of a class.

Values are literals, read by Python's parser and never evaluated. What stands in the call wins over the table.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contimg.errors import BadConfig

__all__ = ["Entry", "ParameterFile", "parse_call", "read_parameters"]

_WORDS = {"true": True, "false": False, "none": None}
_LONGEST = 20_000
"""Characters of a call."""


@dataclass(frozen=True)
class Entry:
    """One line of a pipeline with the keys of its table."""

    path: str
    """Class path as it stands there."""
    args: dict[str, Any]
    where: str
    """File and line, for messages."""

    @property
    def name(self) -> str:
        """Return the class."""
        return self.path.rpartition(".")[2]


@dataclass
class ParameterFile:
    """A file as it was read."""

    path: Path
    text: str
    master: dict[str, Any]
    tables: dict[str, dict[str, Any]]
    """By class path."""
    warnings: list[str] = field(default_factory=list)

    def line_of(self, word: str) -> str:
        """Return file and line of a text, as far as it is there."""
        numbers = (number for number, line in enumerate(self.text.splitlines(), 1) if word in line)
        number = next(numbers, None)
        return f"{self.path}:{number}" if number else str(self.path)

    def entries(self) -> list[Entry]:
        """Return the pipeline in order.

        Raises
        ------
        BadConfig
            If there is none, or an entry is no call of a class with literals.
        """
        lines = self.master.get("pipeline")
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise BadConfig(
                f"{self.path}: [Master] has no list of texts 'pipeline'; write pipeline = [\"a.b.Class()\"]"
            )
        return [self._entry(line) for line in lines]

    def table(self, name: str) -> dict[str, Any]:
        """Return the keys of the table of a class by its last name; empty if there is none."""
        return next((keys for path, keys in self.tables.items() if path.rpartition(".")[2] == name), {})

    def _entry(self, line: str) -> Entry:
        where = self.line_of(line)
        path, inline = parse_call(line, where)
        table = self.tables.get(path, {})
        for key in sorted(set(inline) & set(table)):
            if inline[key] != table[key]:
                text = f"{where}: {key} = {inline[key]!r} of the call wins over {table[key]!r} of table [{path}]"
                self.warnings.append(text)
        return Entry(path, {**table, **inline}, where)


def read_parameters(path: Path) -> ParameterFile:
    """Read a file.

    Raises
    ------
    BadConfig
        If it is missing, no TOML, or has no table ``[Master]``.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadConfig(f"{path} cannot be read ({reason}); name a parameter file") from error
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(f"{path} is no TOML: {error}") from error
    master = content.pop("Master", None)
    if not isinstance(master, dict):
        raise BadConfig(f"{path} has no table [Master]; it holds the pipeline")
    return ParameterFile(path, text, master, dict(_tables(content, ())))


def _tables(content: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the tables of classes: those whose name begins with a capital."""
    for key, value in content.items():
        if not isinstance(value, dict):
            continue
        if key[:1].isupper() and not any(
            isinstance(inner, dict) and name[:1].isupper() for name, inner in value.items()
        ):
            yield ".".join((*path, key)), value
        else:
            yield from _tables(value, (*path, key))


def parse_call(text: str, where: str) -> tuple[str, dict[str, Any]]:
    """Return class path and arguments of a call.

    Raises
    ------
    BadConfig
        If it is something else.
    """
    short = text if len(text) <= 80 else f"{text[:80]}…"
    try:
        if len(text) > _LONGEST:
            raise ValueError("it is too long")
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("it is no call with keys")
        path = _dotted(call.func)
        args = {_key(word): _literal(word.value) for word in call.keywords}
        if len(args) != len(call.keywords):
            raise ValueError("a key stands twice")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise BadConfig(f"{where}: {short!r} cannot be read ({reason}); write package.Class(key=value, …)") from error
    return path, args


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    raise ValueError("what is called is no class path")


def _key(word: ast.keyword) -> str:
    if word.arg is None:
        raise ValueError("** is no key")
    return word.arg


def _literal(node: ast.expr) -> Any:
    """Return the value of a literal; nothing is ever called or looked up."""
    if isinstance(node, ast.Name) and node.id in _WORDS:
        return _WORDS[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        keys = [_literal(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(_literal, node.values), strict=True))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_number(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | None):
        return node.value
    raise ValueError(f"{ast.unparse(node)[:40]!r} is no literal")


def _number(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
        return node.value
    raise ValueError(f"-{ast.unparse(node)[:40]} is no number")
