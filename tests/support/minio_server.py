"""A real MinIO for tests, from the programs of the test cluster, on a free loopback port."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from apiserver import KUBE, free_ports

from contimg.objectstore import S3Target
from contimg.servers import end_process, start_process

__all__ = ["minio", "needs_minio", "serve_minio"]

needs_minio = pytest.mark.skipif(
    not os.environ.get("CI") and not (KUBE / "minio").exists(),
    reason=f"minio is not in {KUBE}; ./run programs builds it",
)


@contextlib.contextmanager
def serve_minio(directory: Path, certificate: Path | None = None, key: Path | None = None) -> Iterator[S3Target]:
    """Run a server; the bucket of the target, whose keys are those of root, is not there yet."""
    (port,) = free_ports(1)
    certificates = directory / "certs"
    certificates.mkdir()
    if certificate and key:
        shutil.copy(certificate, certificates / "public.crt")
        shutil.copy(key, certificates / "private.key")
    host = "localhost" if certificate else "127.0.0.1"
    target = S3Target(f"{host}:{port}", "root-of-test", "secret-of-root", "contimg", secure=certificate is not None)
    given = [f"MINIO_ROOT_USER={target.access_key}", f"MINIO_ROOT_PASSWORD={target.secret_key}"]
    words = ["server", str(directory / "store"), "--address", f"127.0.0.1:{port}", "--certs-dir", str(certificates)]
    argv = ["env", *given, "MINIO_BROWSER=off", "MINIO_UPDATE=off", str(KUBE / "minio"), *words]
    process = start_process(argv, directory / "minio.log")
    yield target
    end_process(process)


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Target]:
    """Yield the target of one server without encryption."""
    with serve_minio(tmp_path_factory.mktemp("minio")) as target:
        yield target
