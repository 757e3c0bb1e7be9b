"""``kubectl contimg``: words in the order in which users of kubectl write them."""

from __future__ import annotations

import sys

import pytest

from contimg.cli import plugin
from contimg.cli.plugin import arranged


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["why", "g"], ["--context=", "why", "g"]),
        (["why", "g", "-n", "contimg"], ["--context=", "--namespace=contimg", "why", "g"]),
        (["-n", "a", "why", "g", "--context", "c"], ["--context=c", "--namespace=a", "why", "g"]),
        (["get", "groups", "--context=c", "--namespace=a"], ["--context=c", "--namespace=a", "get", "groups"]),
        (["trace", "--", "-n", "file"], ["--context=", "trace", "--", "-n", "file"]),
        (["get", "groups", "-n"], ["--context=", "get", "groups", "-n"]),
        (["get", "groups", "--json"], ["--context=", "get", "groups", "--json"]),
    ],
)
def test_context_and_namespace_come_first(words, expected):
    assert arranged(words) == expected


def test_it_is_the_command_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/bin/kubectl-contimg", "why", "g", "-n", "a"])
    monkeypatch.setattr(plugin, "main", lambda: None)
    plugin.run()
    assert sys.argv == ["kubectl contimg", "--context=", "--namespace=a", "why", "g"]
