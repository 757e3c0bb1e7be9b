"""The demonstration on a real API server: every service as a process, the operator in the place of the host."""

from __future__ import annotations

import contextlib
import time

import pytest
import yaml
from apiserver import needs_programs, with_definitions
from commands import contimg
from operator_site import OperatorSite
from processes import differing, manifests

from contimg.cli.demo import lay_out
from contimg.volume.layout import Layout

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.cluster, needs_programs]

GROUP = "ngc5921"
LIMIT_S = 600.0
TIMES = {"CONTIMG_TIME_SCALE": "0.1", "CONTIMG_LIMIT_RPC_S": "10", "CONTIMG_LIMIT_FROZEN_AFTER_S": "60"}
KILLED_AFTER = (2, 6)
"""The operator is killed when so many runs are on record."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Layout:
    directory = tmp_path_factory.mktemp("alone") / "demo"
    finished = contimg("demo", "--dir", directory)
    assert finished.code == 0, finished.err[-3000:]
    return Layout(directory / "stage", directory / "data")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Let the operator publish the group from the file that ``contimg run`` takes, and be killed twice."""
    directory = tmp_path_factory.mktemp("cluster")
    layout = lay_out(directory / "demo")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(with_definitions(directory / "api"))
        running = stack.enter_context(OperatorSite(server, directory, "demo", layout, **TIMES))
        wish = yaml.safe_load((directory / "demo" / f"{GROUP}.yaml").read_text())
        running.apply(wish)
        begin, kills = time.monotonic(), list(KILLED_AFTER)
        while running.status(GROUP).get("phase") != "Published":
            assert time.monotonic() - begin < LIMIT_S, (running.status(GROUP), running.log()[-3000:])
            assert {
                name: process.poll() for name, process in running.running.items() if process.poll() is not None
            } == {}
            if kills and len(manifests(layout)) >= kills[0]:
                kills.pop(0)
                running.stop("operator")
                running.start("operator")
            time.sleep(0.5)
        assert kills == []
        yield running


def test_it_is_published_and_kubectl_wait_says_so(site):
    site.wait(GROUP, within_s=10)
    stages = {item["stage"]: (item["done"], item["total"]) for item in site.status(GROUP)["stages"]}
    assert all(done == total for done, total in stages.values())


def test_it_has_the_tasks_and_the_bytes_of_the_run_in_one_process(alone, site):
    assert set(manifests(site.layout)) == set(manifests(alone))
    assert differing(site.layout, alone) == {}


def test_an_unchanged_group_applied_again_costs_nothing(site):
    before = set(site.layout.attempts.glob("*/*.json"))
    wish = site.get(GROUP)
    site.kubectl("delete", "og", GROUP)
    site.apply({key: wish[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": GROUP}})
    site.wait(GROUP, within_s=30)
    assert set(site.layout.attempts.glob("*/*.json")) == before
