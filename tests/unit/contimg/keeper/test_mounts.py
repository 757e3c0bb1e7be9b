from __future__ import annotations

from pathlib import Path

import pytest

from contimg.errors import BadConfig
from contimg.keeper import index
from contimg.keeper.keeper import Keeper
from contimg.keeper.mounts import file_system, refuse_network

TABLE = r"""
/dev/sda1 / ext4 rw 0 0
server:/export /data nfs4 rw,vers=4.2 0 0
/dev/sdb1 /data/fast xfs rw 0 0
//nas/share /mnt/my\040share cifs rw 0 0
user@host: /mnt/over fuse.sshfs rw 0 0
tmpfs /mnt/over tmpfs rw 0 0
""".lstrip()


@pytest.fixture
def mounts(tmp_path) -> Path:
    path = tmp_path / "mounts"
    path.write_text(TABLE)
    return path


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
def test_the_longest_and_latest_mount_counts(mounts, path, kind):
    assert file_system(Path(path), mounts) == kind


def test_the_file_system_of_this_machine_is_known():
    assert file_system(Path("/proc/self")) == "proc"


@pytest.mark.parametrize("path", ["/data/state", "/mnt/my share"])
def test_network_file_systems_are_refused(mounts, path):
    with pytest.raises(BadConfig, match=rf"{path} is on a network file system .*set CONTIMG_STATE_DIR .* local disk"):
        refuse_network(Path(path), mounts)
    refuse_network(Path("/data/fast"), mounts)


def test_the_keeper_refuses_a_network_file_system(layout, monkeypatch, tmp_path):
    table = tmp_path / "table"
    table.write_text(f"server:/x {tmp_path} nfs rw 0 0\n")
    monkeypatch.setattr(index, "refuse_network", lambda directory: refuse_network(directory, table))
    with pytest.raises(BadConfig, match=r"network file system \(nfs\)"):
        Keeper(layout)
    assert not layout.databases["ingest"].exists()
