"""What kopf says; what it watches is told by the tests on a real API server."""

from __future__ import annotations

import io
import json
import logging

import pytest

from contimg.telemetry import configure_logging
from contimg_operator.watch import _speak_json


@pytest.fixture
def told():
    """Return the log, and leave the logger of kopf as it was."""
    logger, stream = logging.getLogger("kopf"), io.StringIO()
    before = (logger.handlers, logger.propagate, logger.level)
    configure_logging(json_lines=True, stream=stream)
    yield stream
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])
    configure_logging()


def test_an_error_of_kopf_is_told_with_its_traceback(told):
    _speak_json()
    try:
        raise OverflowError("too long")
    except OverflowError:
        logging.getLogger("kopf.reactor").exception("the watch of %s failed", "surveys")
    logging.getLogger("kopf.reactor").error("no traceback")
    first, other = (json.loads(line) for line in told.getvalue().splitlines())
    assert first["event"] == "the watch of surveys failed"
    assert "OverflowError: too long" in first["exception"]
    assert "exception" not in other
