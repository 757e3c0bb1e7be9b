"""The core names no stage, data type, instrument, pipeline or file format: it finds them by entry points.

Every word of every identifier, string, docstring and comment of the core packages is compared with the names of what
is installed. A name that is also a plain word of the design is excepted here, with its reason.
"""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

from contimg.models.instrument import instruments, pipelines
from contimg.models.spec import data_types, references, specs

ROOT = Path(__file__).parents[2] / "shared" / "contimg"
PACKAGES = ("models", "engine", "volume", "keeper", "worker", "host")
ADAPTERS = ("access", "archive", "bus", "errors", "limits", "objectstore", "process", "settings", "stage", "telemetry")
CORE = sorted(
    [*(path for name in PACKAGES for path in (ROOT / name).rglob("*.py")), *(ROOT / f"{name}.py" for name in ADAPTERS)]
)
FORMATS = {
    "casa",
    "casacore",
    "casatools",
    "casatasks",
    "FITS",
    "hdf5",
    "h5",
    "ms",
    "uvfits",
    "uvh5",
    "ecsv",
    "votable",
}
"""In lower case however they are written; in capitals only so: ``fits`` is a verb too."""
PLAIN = {
    "apply": "a verb: kubectl apply, a rule that applies",
    "flags": "of a system call or a regular expression: options that are switched on",
    "group": "a word of the design: the observations processed together",
    "image": "container image: the digest that provenance quotes",
    "ingest": "a word of the design: what watches arrivals; facts, a database and state/ingest.json are called so",
    "metadata": "the part of a resource that names it; information about packages",
    "publish": "a word of the design: spec.publish; messages are published on the bus",
}
SENTENCES = {
    "contimg.dsa110.org": "API group of the custom resources, fixed by the design",
    "dsa110-contimg": "default directories, fixed by the design",
}


def forbidden() -> set[str]:
    """Return every name that the core must not know, in lower case."""
    homes = {item.archive for item in data_types().values()} | {item.include for item in data_types().values()}
    names = {*specs(), *data_types(), *instruments(), *pipelines(), *references(), *homes, ""} | FORMATS
    return {name if name.isupper() else name.lower() for name in names} - {""} - set(PLAIN)


def words(path: Path) -> list[tuple[str, int]]:
    """Return the words of a file with their lines: of identifiers also the parts between underscores."""
    found = []
    with path.open("rb") as handle:
        for token in tokenize.tokenize(handle.readline):
            if token.type in {tokenize.NAME, tokenize.STRING, tokenize.COMMENT}:
                text = token.string
                for phrase in SENTENCES:
                    text = text.replace(phrase, "")
                for number, line in enumerate(io.StringIO(text)):
                    for word in re.findall(r"[A-Za-z][A-Za-z0-9_-]*", line):
                        parts = {word, *word.split("_"), *re.findall(r"[A-Z]?[a-z0-9]+", word)}
                        spelt = {part.lower() for part in parts} | parts
                        found += [(part, token.start[0] + number) for part in spelt]
    return found


def test_the_core_is_looked_at():
    assert len(CORE) > 60
    assert all(path.is_file() for path in CORE)


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_stage_type_instrument_or_format_is_named(path):
    names = forbidden()
    assert [f"{path}:{line}: {word}" for word, line in words(path) if word in names] == []


def test_every_exception_is_still_needed():
    everything = {word for path in CORE for word, _ in words(path)}
    installed = {name.lower() for name in (*specs(), *data_types(), *references())}
    archived = {item.archive for item in data_types().values()}
    assert [word for word in PLAIN if word not in everything or word not in installed | archived] == []
