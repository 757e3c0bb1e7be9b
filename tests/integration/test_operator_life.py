"""The life of groups and surveys on a real API server: wishes, faults, and what the operator may do."""

from __future__ import annotations

import copy
import json
import signal

import pytest
from apiserver import needs_programs, with_definitions
from operator_site import OperatorSite, group, observation, observed

from contimg.volume.layout import Layout
from contimg_operator.crd import definitions
from contimg_operator.rights import RULES

pytestmark = [pytest.mark.integration, pytest.mark.cluster, needs_programs]

TIMES = {"CONTIMG_TIME_SCALE": "0.1", "CONTIMG_LIMIT_RPC_S": "5", "TASK_S": "0.05"}
SELDOM = {
    ("", "events", "create"),
    *(("contimg.dsa110.org", plural, "get") for plural in ("observationgroups", "pipelines", "surveys")),
}
"""Rights that a run may not need: an Event that is applied may be made by it, a conflict is read again."""
SURVEY = 100
"""First observation of the survey; those of groups by hand come before it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with with_definitions(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def site(server, tmp_path_factory):
    with OperatorSite(server, tmp_path_factory.mktemp("site"), "life", **TIMES) as running:
        yield running


def runs(layout: Layout) -> set[str]:
    """Return the tasks that have a run."""
    return {path.name for path in layout.stage_base.glob("**/.runs/*")}


def patch(site: OperatorSite, name: str, **spec: object) -> None:
    site.kubectl("patch", "og", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def succeeded(site: OperatorSite, name: str) -> bool:
    """Say whether the group of the generation that is asked for now has succeeded."""
    found = site.get(name)
    now = found["metadata"]["generation"]
    return any(
        (item["type"], item["status"], item["observedGeneration"]) == ("Succeeded", "True", now)
        for item in found.get("status", {}).get("conditions", ())
    )


# -- one group ------------------------------------------------------------------------------------------------------


def test_a_group_is_published_and_nothing_but_its_status_is_written(site):
    site.apply(group("first", observed(site.layout, 0, 1, 2)))
    site.wait("first")
    found = site.get("first")
    assert found["status"]["phase"] == "Published"
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"] == 1
    annotations = set(found["metadata"].get("annotations", {})) - {"kubectl.kubernetes.io/last-applied-configuration"}
    assert not annotations | set(found["metadata"].get("finalizers", ())) | set(found["metadata"].get("labels", {}))
    assert {item["type"] for item in found["status"]["conditions"]} == {
        "Succeeded",
        "Progressing",
        "Stalled",
        "Degraded",
    }


def test_an_edit_is_another_wish_that_no_old_success_satisfies(site):
    site.apply(group("edited", observed(site.layout, 10, 11, 12)))
    site.wait("edited")
    before = runs(site.layout)
    patch(site, "edited", stages={"image": {"robust": 0.5}})
    site.wait("edited")
    assert succeeded(site, "edited")
    assert site.get("edited")["metadata"]["generation"] == 2
    again = runs(site.layout) - before
    assert len(again) == 3 + 3, "images and what is made of them"
    patch(site, "edited", stages={"image": None})
    site.until(lambda: succeeded(site, "edited"))
    assert runs(site.layout) == before | again, "going back adopts the old runs"


def test_an_edit_that_means_the_same_is_acknowledged(site):
    site.apply(group("same", observed(site.layout, 20, 21, 22)))
    site.wait("same")
    patch(site, "same", publish={"policy": "unless-failed"})
    site.until(lambda: succeeded(site, "same"))


def test_suspend_resume_and_replay(site):
    site.apply(group("paused", observed(site.layout, 30, 31, 32), suspend=True))
    site.until(lambda: site.status("paused").get("phase") == "Suspended")
    before = runs(site.layout)
    patch(site, "paused", replay=1)
    site.until(lambda: site.status("paused")["observedGeneration"] == 2)
    assert runs(site.layout) == before
    patch(site, "paused", suspend=False)
    site.wait("paused")
    assert succeeded(site, "paused")


def test_reprocess_of_an_unchanged_release_finds_the_same_tasks(site):
    site.apply(group("again", observed(site.layout, 40, 41, 42)))
    site.wait("again")
    before = runs(site.layout)
    patch(site, "again", reprocess=1)
    site.until(lambda: succeeded(site, "again"))
    assert runs(site.layout) == before


def test_a_group_that_is_deleted_and_applied_again_is_complete_at_once(site):
    wish = group("gone", observed(site.layout, 50, 51, 52))
    site.apply(wish)
    site.wait("gone")
    uid, before = site.get("gone")["metadata"]["uid"], runs(site.layout)
    site.kubectl("delete", "og", "gone", "--timeout=10s")
    assert runs(site.layout) == before
    asked = site.metric("contimg_asked_total")
    site.apply(wish)
    site.wait("gone", within_s=10)
    assert site.get("gone")["metadata"]["uid"] != uid
    assert site.metric("contimg_asked_total") == asked
    assert runs(site.layout) == before


# -- what others see ------------------------------------------------------------------------------------------------


def test_what_ended_a_group_is_one_event(site):
    site.apply(group("told", ["2026-01-25T22:26:00"], pipeline="nothing"))
    site.until(lambda: site.condition("told", "Stalled").get("status") == "True")
    patch(site, "told", calibrator="3C48")
    site.until(lambda: site.status("told").get("observedGeneration") == 2)

    def events() -> list[dict]:
        found = json.loads(site.kubectl("get", "events", "-o", "json").stdout)["items"]
        return [item for item in found if item["involvedObject"]["name"] == "told"]

    (event,) = site.until(events)
    assert (event["reason"], event["type"]) == ("BadConfig", "Warning")
    assert event["source"] == {"component": "contimg-operator"}
    described = site.kubectl("describe", "og", "told").stdout
    assert "BadConfig" in described.partition("Events:")[2]


def test_the_pipelines_of_the_release_are_there_and_never_change(site):
    done = site.kubectl(
        "patch", "cpl", "dsa110-continuum", "--type=merge", "-p", '{"spec": {"title": "x"}}', check=False
    )
    assert "a pipeline never changes; make one with a new name" in done.stderr
    site.kubectl("delete", "cpl", "dsa110-continuum")
    site.until(lambda: site.get("dsa110-continuum", "cpl"), 15)


def test_the_shard_of_a_group_never_changes(site):
    site.apply(group("stays", ["2026-01-25T22:26:00"]))
    done = site.kubectl("patch", "og", "stays", "--type=merge", "-p", '{"spec": {"shard": "b"}}', check=False)
    assert "shard cannot be changed; make a new group" in done.stderr


def test_probes_and_metrics(site):
    assert site.http("/healthz") == site.http("/readyz") == "ok\n"
    assert site.metric('contimg_api_calls_total{code="200",resource="observationgroups",verb="watch"') >= 1
    assert site.metric('contimg_watch_timestamp_seconds{resource="surveys"}') > 1.7e9
    assert site.metric("contimg_status_writes_total") >= 1


# -- a survey -------------------------------------------------------------------------------------------------------


def test_a_survey_forms_groups_that_outlive_it_and_counts_the_rest(site):
    members = observed(site.layout, *range(SURVEY, SURVEY + 8))
    head = {"apiVersion": "contimg.dsa110.org/v1alpha1", "kind": "Survey", "metadata": {"name": "night"}}
    rules = {"size": 4, "overlap": 1, "minSize": 3}
    start = observation(SURVEY).start.isoformat().replace("+00:00", "Z")
    site.apply(head | {"spec": {"pipeline": "dsa110-continuum", "start": start, "groups": rules}})
    site.until(lambda: site.status("night", "svy").get("groups") == 2)
    status = site.status("night", "svy")
    assert [item["observation"] for item in status["ungrouped"]] == members[7:]
    assert "left of a run of" in status["ungrouped"][0]["reason"]
    listed = site.kubectl("get", "og", "-l", "contimg.dsa110.org/survey=night", "-o", "json").stdout
    formed = json.loads(listed)["items"]
    assert [item["spec"]["observations"]["members"] for item in formed] == [members[:4], members[3:7]]
    assert not any("ownerReferences" in item["metadata"] for item in formed)
    site.kubectl("delete", "svy", "night", "--timeout=10s")
    for item in formed:
        site.wait(item["metadata"]["name"])


# -- faults ---------------------------------------------------------------------------------------------------------


def working(site: OperatorSite, name: str) -> bool:
    return site.status(name).get("phase") == "Running"


def test_the_api_server_goes_away_in_the_middle(site):
    site.apply(group("away", observed(site.layout, 60, 61, 62, 63, 64)))
    site.until(lambda: working(site, "away"))
    site.server.stop()
    before = len(runs(site.layout))
    site.until(lambda: len(runs(site.layout)) > before)
    site.server.start()
    site.wait("away")
    site.kubectl("delete", "og", "away")
    site.apply(group("after", observed(site.layout, 70, 71, 72)))
    site.wait("after")


def test_a_group_is_deleted_and_made_again_while_its_task_runs(site):
    wish = group("twice", observed(site.layout, 65, 66, 67, 68))
    site.apply(wish)
    site.until(lambda: working(site, "twice"))
    site.kubectl("delete", "og", "twice")
    site.apply(wish)
    site.wait("twice")
    found = [path.name for path in site.layout.stage_base.glob("**/.runs/*")]
    assert len(found) == len(set(found))


def test_what_is_deleted_while_no_watch_is_there_is_found(site):
    site.apply(group("unseen", ["2026-01-25T22:26:00"]))
    site.until(lambda: site.status("unseen"))
    site.stop("operator")
    site.kubectl("delete", "og", "unseen")
    site.start("operator")
    site.apply(group("seen", observed(site.layout, 73, 74, 75)))
    site.wait("seen")


def test_a_right_that_is_taken_away_and_given_back(site):
    site.until(lambda: site.ready() == "ok")
    found = site.get("operator", "rolebinding")
    site.kubectl("delete", "rolebinding", "operator")
    site.server.stop()  # a watch that is there goes on without the right
    site.server.start()
    site.until(lambda: "cannot watch resource" in site.log() or "cannot list resource" in site.log())
    site.apply(
        {key: found[key] for key in ("apiVersion", "kind", "roleRef", "subjects")} | {"metadata": {"name": "operator"}}
    )
    site.apply(group("right", observed(site.layout, 76, 77, 78)))
    site.wait("right")


def test_two_operators_at_once_and_one_that_is_killed(site):
    site.start("operator2")
    site.until(lambda: site.ready("operator2") == "ok")
    site.apply(group("both", observed(site.layout, 80, 81, 82, 83)))
    site.until(lambda: working(site, "both"))
    site.stop("operator")
    site.start("operator")
    site.wait("both")
    before = site.get("both")["metadata"]["resourceVersion"]
    site.apply(group("then", observed(site.layout, 85, 86, 87)))
    site.wait("then")
    site.stop("operator2")
    site.until(lambda: succeeded(site, "both"))
    assert site.get("both")["metadata"]["resourceVersion"] == before, "they agree: nobody writes it again"
    found = [path.name for path in site.layout.stage_base.glob("**/.runs/*")]
    assert len(found) == len(set(found))


def test_it_ends_in_good_order(site):
    assert site.stop("operator", signal.SIGTERM) == 0
    for line in site.log().splitlines():
        assert json.loads(line)["service"] == "operator"
    site.start("operator")


# -- rights and definitions -----------------------------------------------------------------------------------------


def test_it_does_exactly_what_its_role_allows(server, site):
    """The API server's own record of all that was asked, what it refused included, compared with the rules."""
    seen = [item for item in server.audit(f"system:serviceaccount:{site.namespace}:operator") if "objectRef" in item]
    asked = {right(item["objectRef"], item["verb"]) for item in seen}
    allowed = {(g, r, v) for rule in RULES for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]}
    assert asked <= allowed
    assert allowed - asked <= SELDOM
    assert not {verb for _, _, verb in allowed} & {"delete", "deletecollection", "*"}


def right(what: dict[str, str], verb: str) -> tuple[str, str, str]:
    """Return a call in the words of a Role."""
    resource = "/".join(what[key] for key in ("resource", "subresource") if key in what)
    return what.get("apiGroup", ""), resource, verb


def test_definitions_of_another_release_are_told_and_lived_with(server, site):
    """One that lacks a field of the status, and has one in the spec that this operator does not know."""
    other = copy.deepcopy(definitions()["observationgroups.yaml"])
    schema = other["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    del schema["status"]["properties"]["verdict"]
    schema["spec"]["properties"]["priority"] = {"type": "integer", "description": "Of a later release."}
    server.apply(other)
    new, old = observed(site.layout, 90, 91, 92), observed(site.layout, 94, 95, 96)
    site.until(lambda: "priority" in site.kubectl("explain", "og.spec").stdout)
    site.apply(group("newer", new, priority=1), group("older", old))
    site.until(lambda: site.condition("newer", "Stalled").get("status") == "True")
    assert site.status("newer")["message"] == "spec.priority: unknown to this release; correct it and apply again"
    site.wait("older")
    assert "verdict" not in site.status("older")
    assert "its definition is of another release" in site.log()
    server.apply(*definitions().values())


def test_it_waits_for_definitions_and_says_so(server, tmp_path):
    for name in definitions():
        server.kubectl("delete", "crd", f"{name.removesuffix('.yaml')}.contimg.dsa110.org", "--timeout=60s")
    with OperatorSite(server, tmp_path, "bare", **TIMES) as bare:
        bare.until(lambda: "are the definitions of the chart installed?" in bare.ready())
        server.apply(*definitions().values())
        bare.until(lambda: bare.ready() == "ok")
        bare.apply(group("late", observed(bare.layout, 0, 1, 2)))
        bare.wait("late")
