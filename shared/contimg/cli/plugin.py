"""``kubectl contimg WORDS``: the looking commands on the cluster that kubectl is set to.

kubectl finds the script ``kubectl-contimg`` on the path and hands on every word; its users write ``-n`` and
``--context`` behind the command, so both are taken wherever they stand.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from contimg.cli.main import main

__all__ = ["arranged", "run"]

OPTIONS = {"--context": "--context", "--namespace": "--namespace", "-n": "--namespace"}


def arranged(words: Sequence[str]) -> list[str]:
    """Return the words with context (default: the current one) and namespace in front of the command."""
    chosen, rest = {"--context": ""}, list[str]()
    waiting = iter(words)
    for word in waiting:
        name, sign, value = word.partition("=")
        if word == "--":
            rest += [word, *waiting]
        elif name in OPTIONS and (sign or (value := next(waiting, ""))):
            chosen[OPTIONS[name]] = value
        else:
            rest.append(word)
    if not rest:
        return []
    return [*(f"{name}={value}" for name, value in chosen.items()), *rest]


def run() -> None:
    """Run as kubectl's plug-in."""
    sys.argv[:] = ["kubectl contimg", *arranged(sys.argv[1:])]
    main()
