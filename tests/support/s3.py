"""One real S3 server for all tests of a session; every test takes its own bucket."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from contimg.servers.s3 import EmbeddedS3

__all__ = ["s3_server", "s3_target"]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    with EmbeddedS3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_target(s3_server):
    return replace(s3_server.target, bucket=f"test-{uuid.uuid4().hex[:12]}")
