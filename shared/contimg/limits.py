"""All times and limits of the protocol (architecture.md, P1 to P13) in one frozen dataclass, scaled down in tests."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

__all__ = [
    "DAY_S",
    "FIRST_YEAR",
    "GIB",
    "KIB",
    "LAST_YEAR",
    "MEMBERS",
    "MEMBERS_SHOWN",
    "MIB",
    "NAME_BYTES",
    "RECORDING_S",
    "TRIES",
    "ProtocolLimits",
]

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
DAY_S = 86400.0

FIRST_YEAR, LAST_YEAR = 1950, 2150
"""Times outside belong to no recording: a clock or a header was wrong."""
RECORDING_S = 7 * DAY_S
"""Longest recording."""
MEMBERS = 5000
"""Largest group."""
MEMBERS_SHOWN = 300
"""Names of members in a status, which stays below 64 KB; the others are counted."""
NAME_BYTES = 200
"""Longest name of a product: file systems take 255 bytes, and we put marks of up to 40 around it."""
TRIES = 3
"""P3: counted failures of a task in one round."""


@dataclass(frozen=True)
class ProtocolLimits:
    """Times end in ``_s`` (seconds) and are what :meth:`scaled` scales; all else are counts, bytes and fractions."""

    look_s: float = 30.0
    """How often the engine's host looks at every unfinished group, events or not, and the keeper at its disks."""
    status_s: float = 10.0
    """At most one write of a status per so long, except where a condition flips."""
    reconcilers: int = 4
    """Groups that a host looks at side by side."""
    check_streams_s: float = 30.0
    """P1: how often the engine's host creates and checks streams and consumers."""
    ack_wait_s: float = 90.0
    """P1: a message without a sign of life for so long is delivered again."""
    max_ack_pending: int = 100_000
    """P1: delayed naks count, so it is large."""
    stream_bytes: int = GIB
    """P1: size of each stream."""
    events_age_s: float = 7 * DAY_S
    """P1: events are kept for so long."""
    dead_age_s: float = 30 * DAY_S
    """P1: copies of given-up tasks are kept for so long."""
    replicas: int = 1
    """P1: of each stream, 1 or 3."""
    fetch_s: float = 5.0
    """P1: how long one fetch waits for a message."""
    rebind_s: float = 1.0
    """P1: first back-off after a fetch that met a recreated or missing stream; doubles up to 30 times this."""

    ask_again_s: float = 600.0
    """P2: the engine's host asks again for what is unmet."""
    full_again_s: float = 5.0
    """P2: how soon a group asks again after it found the queue full."""
    message_bytes: int = 64 * KIB
    """P2: largest task message."""
    inputs_in_message: int = 500
    """P2: the inputs of a task that has more are kept by the keeper, the message has their digest."""
    skew_s: float = 60.0
    """P2: a message of an unknown recipe version or schema is handed back for so long."""

    tries: int = TRIES
    """P3: counted failures of one round after which a task is given up."""
    lock_fresh_s: float = 120.0
    """P3: a busy task lock that was touched less than this ago has a live holder."""
    busy_s: float = 30.0
    """P3: hand back for so long when the lock is busy and fresh."""
    lost_cap: int = 10
    """P3: attempts of one round whose worker may be lost before the task is given up."""
    space_margin: float = 0.10
    """P3: free space needed above the estimate, as a fraction of it."""
    space_floor_bytes: int = 64 * MIB
    """P3: smallest estimate."""
    space_s: float = 60.0
    """P3: hand back for so long when space is short."""

    stall_after_s: float = 600.0
    """P4: a child without progress for so long is ended."""
    tick_s: float = 15.0
    """P4: in_progress and touch of the lock."""
    sample_s: float = 0.5
    """P4: how often memory and progress of the child's process group are read."""
    frozen_after_s: float = 90.0
    """P4: a parent that did not tick for so long (CLOCK_BOOTTIME) was frozen and discards its attempt."""
    memory_fraction: float = 0.92
    """P4: the child is ended at this fraction of the memory limit."""
    ram_fraction: float = 0.80
    """P4: of the machine's RAM that a child may use where nothing lower is set."""
    kill_s: float = 5.0
    """P4: how long a killed process group may take to disappear."""

    progress_s: float = 1.0
    """P4: at most one progress event per so long."""

    register_s: float = 5.0
    """P6: back-off between tries to register with a silent keeper."""

    retry_base_s: float = 30.0
    """P7: back-off after the first failure."""
    retry_factor: float = 4.0
    """P7: growth of the back-off per try."""
    retry_cap_s: float = 1800.0
    """P7: longest back-off."""
    retry_jitter: float = 0.1
    """P7: back-offs are spread by up to this fraction."""

    page_bytes: int = 512 * KIB
    """P8: largest page of an answer of the keeper."""
    rpc_s: float = 10.0
    """P8: a keeper that does not answer for so long is silent."""
    silent_again_s: float = 30.0
    """P8: how soon a silent keeper is asked again."""
    scan_s: float = 600.0
    """P8: full scan of the volumes by the keeper."""

    settle_s: float = 30.0
    """P9: a raw file untouched for so long has arrived."""
    seal_after_s: float = 900.0
    """P9: after the last file, a file set is sealed or incomplete."""

    closed_after_s: float = 900.0
    """P10: after its end a selection is closed even if nothing came; P11: so long a run may still grow."""
    scan_again_s: float = 30.0
    """P10: how soon to look again for the end of a scan by the watcher."""
    scan_slack_s: float = 5.0
    """P10: a host that scans and then looks has seen the group, though its clock says the scan ended just before."""

    cleanup_s: float = 600.0
    """P12: how often ``wanted`` is sent and clean-up runs."""
    unwanted_s: float = DAY_S
    """P12: a run must be unwanted for so long before it is deleted."""
    wanted_fresh_s: float = 1800.0
    """P12: nothing is deleted when the last ``wanted`` is older."""
    failed_kept_s: float = 14 * DAY_S
    """P12: error logs and kept files of failed attempts."""
    abandoned_s: float = 3600.0
    """P12: an attempt directory whose own lock is free is removed after so long."""

    child_idle_s: float = 1800.0
    """A warm child that had no attempt for so long is ended; the next task starts another."""
    child_attempts: int = 20
    """A warm child is replaced after so many attempts."""
    child_growth_bytes: int = 512 * MIB
    """A warm child is replaced when it keeps so much more memory than after its warm-up."""

    def scaled(self, factor: float) -> Self:
        """Return a copy with every time multiplied by ``factor``; counts, bytes and fractions stay."""
        times = {item.name: getattr(self, item.name) * factor for item in fields(self) if item.name.endswith("_s")}
        return replace(self, **times)
