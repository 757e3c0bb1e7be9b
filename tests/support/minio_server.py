"""A real MinIO for tests, from the programs of the test cluster, on a free loopback port."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from apiserver import KUBE, free_ports

from contimg.objectstore import S3Target
from contimg.servers import end_process, start_process

__all__ = ["minio", "needs_minio"]

needs_minio = pytest.mark.skipif(
    not os.environ.get("CI") and not (KUBE / "minio").exists(),
    reason=f"minio is not in {KUBE}; tests/support/cluster/build.sh builds it",
)


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Target]:
    """Yield the target of a server's root; the bucket is not there yet."""
    directory: Path = tmp_path_factory.mktemp("minio")
    (port,) = free_ports(1)
    target = S3Target(f"127.0.0.1:{port}", "root-of-test", "secret-of-root", "contimg", secure=False)
    environment = {"MINIO_ROOT_USER": target.access_key, "MINIO_ROOT_PASSWORD": target.secret_key}
    argv = ["env", *(f"{name}={value}" for name, value in environment.items()), "MINIO_BROWSER=off", "MINIO_UPDATE=off"]
    address = ["--address", target.endpoint, "--certs-dir", str(directory / "certs")]
    process: subprocess.Popen[bytes] = start_process(
        [*argv, str(KUBE / "minio"), "server", str(directory / "store"), *address], directory / "minio.log"
    )
    yield target
    end_process(process)
