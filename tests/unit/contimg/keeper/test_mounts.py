from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from contimg.errors import BadConfig
from contimg.keeper.keeper import Keeper
from contimg.keeper.mounts import file_system, refuse_network

Mount = namedtuple("Mount", "mountpoint fstype")  # noqa: PYI024 - as psutil gives it
TABLE = [
    Mount("/", "ext4"),
    Mount("/data", "nfs4"),
    Mount("/data/fast", "xfs"),
    Mount("/mnt/my share", "cifs"),
    Mount("/mnt/over", "fuse.sshfs"),
    Mount("/mnt/over", "tmpfs"),
]


@pytest.fixture
def mounts(monkeypatch):
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: TABLE)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/home/x", "ext4"),
        ("/data/state", "nfs4"),
        ("/database", "ext4"),
        ("/data/fast/state", "xfs"),
        ("/mnt/my share/x", "cifs"),
        ("/mnt/over/x", "tmpfs"),
    ],
)
@pytest.mark.usefixtures("mounts")
def test_the_longest_and_latest_mount_counts(path, kind):
    assert file_system(Path(path)) == kind


def test_the_file_system_of_this_machine_is_known():
    assert file_system(Path("/proc/self")) == "proc"


@pytest.mark.parametrize("path", ["/data/state", "/mnt/my share"])
@pytest.mark.usefixtures("mounts")
def test_network_file_systems_are_refused(path):
    with pytest.raises(BadConfig, match=rf"{path} is on a network file system .*set CONTIMG_STATE_DIR .* local disk"):
        refuse_network(Path(path))
    refuse_network(Path("/data/fast"))


def test_the_keeper_refuses_a_network_file_system(layout, monkeypatch, tmp_path):
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [Mount(str(tmp_path), "nfs")])
    with pytest.raises(BadConfig, match=r"network file system \(nfs\)"):
        Keeper(layout)
    assert not layout.databases["ingest"].exists()
