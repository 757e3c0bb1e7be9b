"""Uninstall and install on the same volumes, upgrade without a change: nothing is done again, secrets stay."""

from __future__ import annotations

import time

from cluster.faults import fresh_group, judge, published_after, wait_working
from cluster.release import Release, helm


def records(release: Release) -> int:
    """Return how many attempts were ever made."""
    return sum(1 for _ in (release.volumes / "state" / "attempts").glob("*/*.json"))


def test_an_upgrade_without_change_changes_nothing(release: Release) -> None:
    secrets = release.secret("bus"), release.secret("store")
    pods = {pod["metadata"]["uid"] for pod in release.pods()}
    before = helm("get", "manifest", release.name, "-n", release.namespace)
    release.upgrade()
    assert helm("get", "manifest", release.name, "-n", release.namespace) == before
    assert (release.secret("bus"), release.secret("store")) == secrets
    assert {pod["metadata"]["uid"] for pod in release.pods()} == pods


def test_upgrade_and_rollback_in_the_middle_of_a_group_count_no_try(release: Release, recordings: None) -> None:
    release.apply(fresh_group("upgraded", 6.8))
    wait_working(release, "convert")
    release.more = {"logLevel": "debug"}
    release.upgrade()
    wait_working(release, "image")
    release.more = {}
    helm("rollback", release.name, "-n", release.namespace)
    print(f"\nupgrade and rollback mid-group: published {published_after(release, 'upgraded'):.1f} s after rollback")
    release.wait_ready()
    judge(release, "upgraded")


def test_uninstall_and_install_on_the_same_volumes_repeats_nothing(release: Release) -> None:
    text = fresh_group("upgraded", 6.8)
    secrets, before = (release.secret("bus"), release.secret("store")), records(release)
    release.uninstall()
    start = time.monotonic()
    release.install()
    release.wait_ready()
    print(f"\ninstalled again on the same volumes: ready after {time.monotonic() - start:.1f} s")
    assert (release.secret("bus"), release.secret("store")) == secrets
    release.kubectl("delete", "og", "upgraded")
    release.apply(text)
    print(f"  applied again: complete after {published_after(release, 'upgraded', 60):.1f} s")
    assert records(release) == before, "attempts were made"
