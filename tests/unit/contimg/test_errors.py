"""The class of an error alone decides whether a task is tried again, and what a command line ends with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contimg import errors
from contimg.errors import ContimgError, Retryable, Terminal, UserError, by_name

CLASSES = [getattr(errors, name) for name in errors.__all__ if name != "by_name"]
SOURCE = Path(errors.__file__)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_class_is_retryable_or_terminal_but_never_both(kind):
    if kind is ContimgError:
        return
    assert issubclass(kind, Retryable) != issubclass(kind, Terminal)
    assert kind.retryable is issubclass(kind, Retryable)
    assert kind("x").retryable is kind.retryable


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_record_names_its_class_and_gets_it_back(kind):
    assert by_name(kind.__name__) is kind


@pytest.mark.parametrize("name", ["", "ValueError", "Unavailabel", "ErrorOfTheNextRelease"])
def test_what_an_unknown_release_wrote_is_not_tried_for_ever(name):
    assert by_name(name) is Terminal
    assert not by_name(name).retryable


def test_a_class_that_a_service_adds_below_is_found():
    class OwnError(UserError):
        """Of a service."""

    assert by_name("OwnError") is OwnError
    assert OwnError.exit_code == UserError.exit_code


def test_no_error_ends_with_success_or_with_a_signals_code():
    assert {kind.exit_code for kind in CLASSES} <= set(range(1, 128))


def test_exit_codes_tell_user_mistakes_from_outages():
    codes = {kind.__name__: kind.exit_code for kind in CLASSES}
    assert codes["BadConfig"] != codes["BadInput"] != codes["Unavailable"]
    assert codes["Unavailable"] != codes["Retryable"] == codes["ResourceExhausted"] == codes["WorkerLost"]
    assert codes["DataQuality"] not in {1, codes["Damaged"]}


def test_the_tree_that_is_drawn_is_the_tree_that_is():
    """Depth in the drawing = depth in the class tree, for every class."""
    drawn = {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"    ([│ ]*)(?:[├└]── )?(\w+Error|[A-Z]\w+)\b", line)
        if found and found[2] in errors.__all__:
            drawn[found[2]] = len(found[1]) // 4 + ("── " in line)
    depth = {kind.__name__: kind.__mro__.index(ContimgError) for kind in CLASSES}
    assert drawn == depth
