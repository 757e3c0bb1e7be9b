"""Every query of every board is asked of a real Prometheus that reads the real pods."""

from __future__ import annotations

from cluster.release import ROOT, STAGES, Release
from waiting import until

from boards import check
from boards.prometheus import Prometheus

RULES = ROOT / "charts" / "contimg" / "files" / "rules" / "contimg.yaml"


def test_prometheus_takes_every_query(release: Release, tmp_path) -> None:
    """The node reaches its pods by their addresses."""
    targets = {}
    for component in ("operator", "keeper", "ingest", *STAGES):
        (pod,) = release.pods(component)
        labels = {"namespace": release.namespace, "pod": pod["metadata"]["name"]}
        targets[f"{pod['status']['podIP']}:8080"] = labels
    with Prometheus(tmp_path / "prometheus", targets, interval_s=2, rules=RULES) as prometheus:
        until(lambda: len(prometheus.instant("up == 1")) == len(targets), 60)
        until(lambda: prometheus.instant("rate(process_cpu_seconds_total[1m])"), 60)
        assert check.refused(prometheus) == []
        empty = check.empty(prometheus)
    print(f"\nqueries without any series after one night of tests: {len(empty)}")
    for each in empty:
        print(f"  {each}")
