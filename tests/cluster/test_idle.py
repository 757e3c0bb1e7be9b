"""What all thirteen pods take of the node when there is nothing to do."""

from __future__ import annotations

import json
import time

import pytest
from cluster.release import Release, kubectl, node
from waiting import until

CORE = 0.10
"""Of one core, for all pods together."""
WARM, COLD = 3.0 * 2**30, 1.5 * 2**30
"""Bytes of all pods together, page cache that the kernel counts as used included. Children of the stages stay warm
for ``child_idle_s`` after their last task; with the tenth of the real times that is three minutes."""


def usage(release: Release) -> dict[str, tuple[float, float]]:
    """Return CPU seconds and bytes in use by pod, as the kubelet measures them."""
    summary = json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{node()}/proxy/stats/summary"))
    return {
        pod["podRef"]["name"]: (pod["cpu"]["usageCoreNanoSeconds"] / 1e9, pod["memory"]["workingSetBytes"])
        for pod in summary["pods"]
        if pod["podRef"]["namespace"] == release.namespace and "cpu" in pod
    }


@pytest.mark.parametrize(("window_s", "memory"), [(60, WARM), pytest.param(600, COLD, marks=pytest.mark.slow)])
def test_idle_pods_take_little(release: Release, window_s: int, memory: float) -> None:
    start, before = time.monotonic(), usage(release)
    until(lambda: time.monotonic() - start > window_s, window_s + 10)
    took, after = time.monotonic() - start, usage(release)
    print(f"\nidle for {took:.0f} s:")
    cores = {name: (after[name][0] - before[name][0]) / took for name in before.keys() & after.keys()}
    for name in sorted(cores):
        print(f"  {name:<40} {100 * cores[name]:5.2f} % of a core  {after[name][1] / 2**20:7.1f} MiB")
    total = sum(bytes_ for _, bytes_ in after.values())
    print(f"  {'all':<40} {100 * sum(cores.values()):5.2f} % of a core  {total / 2**20:7.1f} MiB")
    assert sum(cores.values()) <= CORE
    assert total <= memory
