"""On which file system a path lies; SQLite's write-ahead log does not work over a network."""

from __future__ import annotations

from pathlib import Path

from contimg.errors import BadConfig

__all__ = ["NETWORK", "file_system", "refuse_network"]

NETWORK = frozenset(
    {
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    }
)
"""Types as ``/proc/mounts`` spells them."""


def _unescape(field: str) -> str:
    r"""Undo the octal escapes of ``/proc/mounts`` (``\040`` is a blank)."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field


def file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the type of the file system of a path, that of the longest mount point above it.

    Parameters
    ----------
    path
        Need not exist yet.
    mounts
        A file in the format of ``/proc/mounts``; of equal mount points the last one counts.
    """
    real, best, kind = path.resolve(), -1, "unknown"
    for line in mounts.read_text().splitlines():
        _, point, type_ = line.split()[:3]
        mount = Path(_unescape(point))
        if real.is_relative_to(mount) and len(mount.parts) >= best:
            best, kind = len(mount.parts), type_
    return kind


def refuse_network(directory: Path, mounts: Path = Path("/proc/self/mounts")) -> None:
    """Check that a directory for databases is on a local disk.

    Raises
    ------
    BadConfig
        If it is on a network file system.
    """
    kind = file_system(directory, mounts)
    if kind in NETWORK:
        raise BadConfig(
            f"{directory} is on a network file system ({kind}), where SQLite loses data; "
            "set CONTIMG_STATE_DIR to a directory on a local disk"
        )
