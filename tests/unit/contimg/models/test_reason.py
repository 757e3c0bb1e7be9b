"""Reasons: one cure each, the same list in the docs, every error class among them."""

from __future__ import annotations

import re
from pathlib import Path

from contimg.errors import ContimgError
from contimg.models.reason import CURES, Phase, Reason

PAGE = Path(__file__).parents[4] / "docs" / "reasons.md"


def classes(root):
    return {root.__name__}.union(
        *(classes(child) for child in root.__subclasses__() if child.__module__ == root.__module__)
    )


def test_every_reason_has_a_cure_and_no_other():
    assert set(CURES) == set(Reason)
    assert all(text.endswith(".") for text in CURES.values())


def test_every_error_is_a_reason_and_an_unknown_one_is_told_too():
    for name in classes(ContimgError):
        assert Reason.of_error(name) == name
    assert Reason.of_error("FromALaterRelease") is Reason.STAGE_FAILED
    assert Reason.of_error("") is Reason.STAGE_FAILED


def test_the_page_says_what_the_code_says():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", PAGE.read_text(), re.MULTILINE))
    assert {name: text for name, text in rows.items() if name not in set(Phase)} == {
        reason.value: text for reason, text in CURES.items() if reason.value not in set(Phase)
    }
    assert set(Phase) <= set(rows)


def test_phases_and_reasons_are_words_of_kubernetes():
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", word) for word in [*Phase, *Reason])
