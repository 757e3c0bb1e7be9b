"""The file ``state/ingest-rules.json``: when surveys take a file set of an instrument as complete."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from contimg.models.survey import FileSetRules

__all__ = ["RulesFile"]

_FILE = TypeAdapter(dict[str, FileSetRules])


@dataclass
class RulesFile:
    """The rules as they stand in a file that another process replaces at any time."""

    path: Path
    _stamp: tuple[int, int] = (0, 0)
    _rules: dict[str, FileSetRules] = field(default_factory=dict)

    def read(self) -> str:
        """Look whether the file changed; return what is wrong with it, or nothing. A wrong file changes no rule."""
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._rules = _FILE.validate_json(self.path.read_bytes())
                self._stamp = stamp
        except FileNotFoundError:
            self._rules = {}
        except (OSError, ValidationError) as error:
            what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
            return f"{self.path} cannot be used ({what}); the rules before it stay, mend or remove it"
        return ""

    def of(self, instrument: str) -> FileSetRules:
        """Return the rules for an instrument's file sets."""
        return self._rules.get(instrument, FileSetRules())
