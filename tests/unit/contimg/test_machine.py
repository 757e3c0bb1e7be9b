"""What control groups of both kinds allow, read from trees like the kernel's."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import psutil
import pytest

from contimg.limits import ProtocolLimits
from contimg.machine import in_threads, kills, memory_group, memory_limit, processors

LIMITS = ProtocolLimits()
RAM = int(0.8 * psutil.virtual_memory().total)
CPUS = len(os.sched_getaffinity(0))


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, RAM),
        ({"sys/fs/cgroup/memory.max": "max\n"}, RAM),
        ({"sys/fs/cgroup/memory.max": "1000\n"}, 1000),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "2000\n"}, 2000),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, RAM),
        ({"proc/self/cgroup": "0::/pod/a\n", "sys/fs/cgroup/pod/a/memory.max": "3000"}, 3000),
        (
            {
                "proc/self/cgroup": "4:memory:/pod/b\n1:cpu:/x\n",
                "sys/fs/cgroup/memory/pod/b/memory.limit_in_bytes": "4",
            },
            4,
        ),
        ({"proc/self/cgroup": "0::/pod/a\n", "sys/fs/cgroup/pod/memory.max": "5", "sys/fs/cgroup/memory.max": "6"}, 5),
    ],
)
def test_the_least_of_all_memory_limits_holds(tmp_path, monkeypatch, files, expected):
    root = machine(tmp_path, files)
    assert memory_limit(LIMITS, root) == expected
    monkeypatch.setenv("CONTIMG_MEMORY_BYTES", "3")
    assert memory_limit(LIMITS, root) == 3


def test_the_real_machine_has_a_limit_and_processors():
    assert 0 < memory_limit(LIMITS) <= RAM
    assert 1 <= processors() <= CPUS
    group = memory_group()
    assert group is None or 0 < group.used() <= group.limit


V2 = {
    "memory.max": "1000",
    "memory.current": "900",
    "memory.stat": "anon 500\nfile 380\nshmem 80\ninactive_file 200\nactive_file 100\n",
    "memory.events": "low 0\nmax 7\noom 2\noom_kill 3\n",
}
V1 = {
    "memory.limit_in_bytes": "1000",
    "memory.usage_in_bytes": "900",
    "memory.stat": "cache 5\ninactive_file 5\nactive_file 0\ntotal_inactive_file 200\ntotal_active_file 100\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
}


@pytest.mark.parametrize(("place", "files"), [("sys/fs/cgroup", V2), ("sys/fs/cgroup/memory", V1)])
def test_what_is_used_is_what_cannot_be_given_back(tmp_path, place, files):
    """Anonymous memory and tmpfs count, cached files do not."""
    root = machine(tmp_path, {f"{place}/{name}": text for name, text in files.items()})
    group = memory_group(root)
    assert (group.limit, group.used(), kills(group, root)) == (1000, 600, 3)


def test_without_a_group_the_machine_counts_its_kills(tmp_path):
    assert kills(None, tmp_path) == 0
    assert kills(None, machine(tmp_path, {"proc/vmstat": "pgfault 9\noom_kill 4\n"})) == 4


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({}, None),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 0.5),
        ({"proc/self/cgroup": "0::/pod\n", "sys/fs/cgroup/pod/cpu.max": "110000 100000\n"}, 1.1),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/pod\n",
                "sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_quota_us": "20000\n",
                "sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_period_us": "100000\n",
            },
            0.2,
        ),
    ],
)
def test_threads_follow_the_cpu_quota(tmp_path, monkeypatch, files, share):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    expected = 8 if share is None else max(1, int(share + 0.999))
    assert processors(machine(tmp_path, files)) == expected


@pytest.mark.parametrize(
    "files",
    [
        {"sys/fs/cgroup/cpu.max": ""},
        {"sys/fs/cgroup/cpu.max": "garbage\n"},
        {"sys/fs/cgroup/cpu.max": "50000\n"},
        {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "garbage\n"},
        {"proc/self/cgroup": "0::/../../elsewhere\n"},
    ],
)
def test_a_quota_that_cannot_be_understood_is_none(tmp_path, files):
    """Half a file, words, a group outside our view: threads as many as processors."""
    assert processors(machine(tmp_path, files)) == CPUS


@pytest.mark.parametrize("text", ["", "max\n", "garbage\n", "-1\n", "0\n"])
def test_a_memory_limit_that_cannot_be_understood_is_none(tmp_path, text):
    root = machine(tmp_path, {"sys/fs/cgroup/memory.max": text})
    assert memory_group(root) is None
    assert memory_limit(LIMITS, root) == RAM


def test_the_group_that_binds_may_be_one_above(tmp_path):
    """What counts is its use, not that of ours: siblings share it."""
    files = {
        "proc/self/cgroup": "0::/pod/a\n",
        "sys/fs/cgroup/pod/memory.max": "1000",
        "sys/fs/cgroup/pod/memory.current": "800",
        "sys/fs/cgroup/pod/a/memory.max": "5000",
        "sys/fs/cgroup/pod/a/memory.current": "10",
    }
    group = memory_group(machine(tmp_path, files))
    assert group.directory == tmp_path / "sys/fs/cgroup/pod"
    assert (group.limit, group.used()) == (1000, 800)


def test_a_group_that_vanished_has_used_nothing_and_killed_nobody(tmp_path):
    root = machine(tmp_path, {"sys/fs/cgroup/memory.max": "1000", "sys/fs/cgroup/memory.current": "900"})
    group = memory_group(root)
    for path in group.directory.iterdir():
        path.unlink()
    assert (group.used(), kills(group, root)) == (0, 0)


def test_a_part_of_the_memory_is_left_to_others(tmp_path, monkeypatch):
    """Without a control group; ``CONTIMG_MEMORY_BYTES`` can only take away, and nothing means unset."""
    for value in ("", "0", str(2 * psutil.virtual_memory().total)):
        monkeypatch.setenv("CONTIMG_MEMORY_BYTES", value)
        assert memory_limit(LIMITS, tmp_path) == RAM < psutil.virtual_memory().total


@pytest.mark.parametrize("pieces", [1, 2, 3, 50])
def test_threads_cover_everything_once(pieces):
    seen, lock = [], threading.Lock()

    def work(first, last):
        with lock:
            seen.extend(range(first, last))

    in_threads(work, [100 * k // pieces for k in range(pieces + 1)])
    assert sorted(seen) == list(range(100))


def test_error_in_a_thread_is_raised():
    def work(first, last):
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        in_threads(work, range(10))
