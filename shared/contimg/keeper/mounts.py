"""On which file system a path lies; SQLite's write-ahead log does not work over a network."""

from __future__ import annotations

from pathlib import Path

import psutil

from contimg.errors import BadConfig

__all__ = ["NETWORK", "file_system", "refuse_network"]

NETWORK = frozenset({
    "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs",
    "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs",
})  # fmt: skip
"""Types as the kernel spells them."""


def file_system(path: Path) -> str:
    """Return the type of the file system of a path (which need not exist yet): that of the last mount above it."""
    real, best, kind = path.resolve(), -1, "unknown"
    for mount in psutil.disk_partitions(all=True):
        point = Path(mount.mountpoint)
        if real.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), mount.fstype
    return kind


def refuse_network(directory: Path) -> None:
    """Check that a directory for databases is on a local disk.

    Raises
    ------
    BadConfig
        If it is on a network file system.
    """
    kind = file_system(directory)
    if kind in NETWORK:
        raise BadConfig(
            f"{directory} is on a network file system ({kind}), where SQLite loses data; "
            "set CONTIMG_STATE_DIR to a directory on a local disk"
        )
