"""``contimg --context``: the same words and output as on a laptop, against a real API server and the real ``exec``.

The node behind ``exec`` is a process of the test that runs the command here; tests/cluster has a real one.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from apiserver import ApiServer, needs_programs
from keeper_site import T0, Site
from kubelet import PROTOCOL, Kubelet
from typer.testing import CliRunner

from contimg.cli import cluster as module
from contimg.cli import keeperpod, kube
from contimg.cli.main import app
from contimg.errors import BadConfig, Unavailable, UserError
from contimg.host.store import ResourceStore
from contimg.keeper.keeper import Keeper
from contimg.models.group import Condition, GroupStatus, ObservationGroup, StageStatus, UnitFailure
from contimg.models.reason import Phase, Reason
from contimg.models.survey import Survey, SurveyStatus, UngroupedStatus
from contimg.volume.layout import Layout
from contimg_operator.crd import definitions

pytestmark = [needs_programs, pytest.mark.integration]
GOLDEN = Path(__file__).parents[3] / "data" / "cluster_output"
API = "contimg.dsa110.org/v1alpha1"
MESSAGE = "image of 2026-01-25T22:05:00 failed for good: 3 tries ran out of memory (2.1 GB)"
PEOPLE = {"looks": ["get", "list"], "reads": ["get", "list"], "edits": ["get", "list", "patch"], "nobody": []}
"""Service accounts that stand for users, and what they may do with groups; ``reads`` may also exec."""


@dataclass
class World:
    """A cluster with a release in namespace ``contimg``, and the same things on this machine."""

    server: ApiServer
    node: Kubelet
    layout: Layout
    directory: Path
    before: str
    """What ``get groups`` said before the custom resource definitions were there."""

    def kubeconfig(self, who: str) -> Path:
        path = self.directory / f"kubeconfig-{who}"
        if not path.exists():
            token = self.server.kubectl("create", "token", who, "-n", "contimg", "--duration=2h").stdout.strip()
            self.server.write_kubeconfig(path, token, "contimg")
        return path


def there(world, *words, kubeconfig=None, context="x", namespace="contimg"):
    """Run a command on the cluster."""
    place = [*(["--context", context] if context is not None else []), *(["-n", namespace] if namespace else [])]
    env = {"KUBECONFIG": str(kubeconfig or world.server.kubeconfig)}
    return CliRunner().invoke(app, [*place, *map(str, words)], env=env)


def here(world, *words):
    """Run it on this machine, with the directories that the keeper's pod has."""
    bases = {"CONTIMG_STAGE_BASE": str(world.layout.stage_base), "CONTIMG_DATA_BASE": str(world.layout.data_base)}
    return CliRunner().invoke(app, list(map(str, words)), env=bases)


def group(name, **spec):
    wish = {"pipeline": "dsa110-continuum", "observations": {"start": "2026-01-25T22:00:00Z", "count": 2}} | spec
    return ObservationGroup.model_validate({"metadata": {"name": name}, "spec": wish})


def group_status(phase=Phase.FAILED, message=MESSAGE, generation=1):
    truth = {"Succeeded": "False", "Progressing": "False", "Stalled": "False", "Degraded": "False"}
    common = {"observed_generation": generation, "last_transition_time": T0}
    reasons = {"Succeeded": Reason.RESOURCE_EXHAUSTED, "Progressing": Reason.RESOURCE_EXHAUSTED}
    conditions = tuple(
        Condition(type=t, status=s, reason=reasons.get(t, Reason.NOT_STALLED), message=message, **common)
        for t, s in truth.items()
    )
    failure = UnitFailure(unit="2026-01-25T22:05:00", error="ResourceExhausted", message="2.1 GB were not enough")
    stages = (
        StageStatus(stage="convert", done=2, total=2, seconds=12.5),
        StageStatus(stage="image", done=1, total=2, failed=1, failures=(failure,)),
    )
    return GroupStatus(
        observed_generation=generation, phase=phase, stage="image", progress="1/2", message=message, stages=stages,
        conditions=conditions, started=T0, finished=datetime.now(UTC),
    )  # fmt: skip


def body(resource):
    kept = resource.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"metadata", "status"})
    return kept | {"apiVersion": API, "kind": type(resource).__name__, "metadata": {"name": resource.name}}


def put(world, resource, status):
    """Give a resource and its status to the API server and to the state directory."""
    world.server.apply(body(resource), namespace="contimg")
    kind = type(resource).__name__.lower()
    text = json.dumps({"status": status.model_dump(mode="json", by_alias=True, exclude_none=True)})
    patch = ("patch", kind, resource.name, "-n", "contimg", "--subresource=status", "--type=merge", "-p", text)
    world.server.kubectl(*patch)
    store = ResourceStore(world.layout)
    path = world.directory / f"{resource.name}.yaml"
    path.write_text(json.dumps(body(resource)))
    store.put_status(store.put(resource, path), world.directory / "beside", status)


def records(layout):
    """Write what a keeper of a release has: runs, an archive, attempts with logs, recordings of the last day."""
    site = Site(layout)
    convert = site.commit("convert", "2026-01-25T22:00:00", raw=("2026-01-25/2200_sb00.hdf5",), name="a.ms")
    image = site.commit("image", "2026-01-25T22:00:00", inputs=[convert])
    mosaic = site.commit("mosaic", "g1", inputs=[image])
    publish = site.publish([mosaic], unit="g1")
    site.name(*mosaic)
    site.archive(publish[0])
    (layout.run("image", image[0]) / "log.txt").write_bytes(b"cleaned \xff\xfe 3 cycles\n" * 40000)
    site.attempt(image[0], 1, "committed")
    site.attempt("ab" * 16, 1, "failed", error="ResourceExhausted")
    site.observation(0)
    now = (datetime.now(UTC) - T0).total_seconds() / 60
    site.observation(now - 60)
    site.observation(now - 50, "incomplete")
    with Keeper(layout) as keeper:
        keeper.scan()
        for run in (convert, image, mosaic, publish):
            keeper.register_run(*run)
    return {"image": image[0], "mosaic": mosaic[0]}


def allow(server, who, verbs):
    """Let a user do with our resources, and with the keeper's pod, what its role says."""
    rules = [{"apiGroups": ["contimg.dsa110.org"], "resources": ["*"], "verbs": verbs or ["watch"]}]
    if who == "reads":
        rules.append({"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]})
        rules.append({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]})
    subject = {"kind": "ServiceAccount", "name": who, "namespace": "contimg"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": who}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": who}}
    server.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": who}},
        {**rbac, "kind": "Role", "rules": rules},
        {**rbac, "kind": "RoleBinding", "subjects": [subject], "roleRef": role},
        namespace="contimg",
    )


def keeper_pod(server, namespace, *, phase="Running", node="node", status=None, container="keeper", program="contimg"):
    """Make a pod as the chart's Deployment makes the keeper's."""
    labels = {"app.kubernetes.io/name": program, "app.kubernetes.io/component": "keeper"}
    spec = {"containers": [{"name": container, "image": "x"}]} | ({"nodeName": node} if node else {})
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "contimg-keeper-0", "labels": labels}, "spec": spec}
    server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    server.apply(pod, namespace=namespace)
    text = json.dumps({"status": {"phase": phase} | (status or {})})
    server.kubectl("patch", "pod", "contimg-keeper-0", "-n", namespace, "--subresource=status", "-p", text)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cluster")
    layout = Layout(directory / "s", directory / "d")
    environment = {"CONTIMG_STAGE_BASE": str(layout.stage_base), "CONTIMG_DATA_BASE": str(layout.data_base)}
    words = (PROTOCOL, "--kubelet-preferred-address-types=InternalIP")
    with ApiServer(directory / "api", *words) as server, Kubelet(directory / "node", environment) as node:
        made = World(server, node, layout, directory, "")
        node.register(server)
        keeper_pod(server, "contimg")
        made.before = str(there(made, "get", "groups").exception)
        server.apply(*definitions().values())
        server.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        for who, verbs in PEOPLE.items():
            allow(server, who, verbs)
        yield made


@pytest.fixture(scope="module")
def site(world):
    return records(world.layout)


@pytest.fixture(scope="module")
def groups(world):
    put(world, group("g1", minMembers=1), group_status())
    put(world, group("g2"), group_status(Phase.RUNNING, "image 1/2: 1 of 2 done, 1 running"))
    ungrouped = (UngroupedStatus(observation="2026-01-25T22:10:00", reason="the run ended before minSize"),)
    status = SurveyStatus(observed_generation=1, phase=Phase.RUNNING, message="2 groups", ungrouped=ungrouped)
    night = Survey.model_validate({"metadata": {"name": "night"}, "spec": {"pipeline": "dsa110-continuum"}})
    put(world, night, status)


# -- records: by exec into the keeper's pod -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        *(["get", noun] for noun in ("runs", "products", "attempts", "observations", "quarantine")),
        ["get", "products", "--json"],
        ["get", "products", "--stage", "mosaic", "--limit", "1"],
        ["get", "attempts", "--state", "failed"],
        ["get", "attempts", "--group", "nope"],
    ],
    ids=" ".join,
)
def test_lists_of_records_are_those_of_the_keeper(words, world, site, groups):
    on_cluster, on_laptop = there(world, *words), here(world, *words)
    assert on_cluster.stdout_bytes == on_laptop.stdout_bytes
    if on_laptop.exception is None:
        assert on_cluster.exit_code == 0
        assert on_cluster.stdout
    else:  # its sentence came over the wire, with the exit code
        assert on_cluster.exit_code == on_laptop.exception.exit_code
        assert str(on_laptop.exception) in on_cluster.stderr


def test_a_group_without_records_yet_is_no_misspelt_one(world, site, groups):
    """The keeper does not know the groups of the API server."""
    done = there(world, "get", "attempts", "--group", "g2")
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 1)
    assert there(world, "get", "attempts", "--group", "g3").exit_code == BadConfig.exit_code


def test_a_manifest_and_a_log_come_byte_for_byte(world, site):
    for words in (["show", site["image"]], ["log", site["image"][:8]]):
        on_cluster, on_laptop = there(world, *words), here(world, *words)
        assert (on_cluster.exit_code, on_cluster.stderr) == (0, "")
        assert on_cluster.stdout_bytes == on_laptop.stdout_bytes
    assert len(on_cluster.stdout_bytes) > 800_000


def test_what_is_not_there_says_so_with_its_exit_code(world, site):
    done = there(world, "log", "0000")
    assert (done.exit_code, done.stdout) == (BadConfig.exit_code, "")
    assert done.stderr.startswith("contimg: no log of an attempt '0000' below ")
    assert there(world, "show", "nothing").exit_code == BadConfig.exit_code


def test_words_are_no_shell(world, site):
    done = there(world, "get", "products", "--group", "$(touch x); exit 0")
    assert done.exit_code == BadConfig.exit_code
    assert world.node.commands[-1][-1] == "$(touch x); exit 0"


def test_a_file_of_this_machine_is_traced_by_its_content(world, site, tmp_path):
    """What somebody fetched from the object store: the cluster cannot see that path."""
    run = world.layout.run("mosaic", site["mosaic"])
    fetched = tmp_path / "fetched.fits"
    fetched.write_bytes((run / "g1.fits").read_bytes())
    on_cluster = there(world, "trace", fetched)
    assert on_cluster.exit_code == 0, on_cluster.stderr
    assert on_cluster.stdout == here(world, "trace", fetched).stdout
    assert f"{fetched}\n" in on_cluster.stdout
    as_json = there(world, "trace", "--json", fetched)
    assert as_json.stdout == here(world, "trace", "--json", fetched).stdout


def test_of_several_files_one_that_is_not_known_hides_no_other(world, site, tmp_path):
    product = world.layout.run("mosaic", site["mosaic"]) / "g1.fits"
    (tmp_path / "other").write_text("something else")
    done = there(world, "trace", product, tmp_path / "other", "/not/there")
    alone = here(world, "trace", product)
    assert done.stdout == alone.stdout
    assert done.exit_code == 65
    assert done.stderr.count("is not known here") == 2


# -- groups: from the API server ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["get", "groups"],
        ["get", "groups", "--state", "running"],
        ["get", "groups", "--limit", "1", "--stage", "image"],
        ["why", "g1"],
    ],
    ids=" ".join,
)
def test_groups_are_told_as_on_a_laptop(words, world, groups):
    with Keeper(world.layout):  # a laptop's `why` tells what whoever works there decided last
        on_laptop = here(world, *words)
    on_cluster = there(world, *words)
    assert (on_cluster.exit_code, on_cluster.stdout) == (0, on_laptop.stdout), on_cluster.exception


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("get-groups", ["get", "groups"]),
        ("get-groups-json", ["get", "groups", "--json"]),
        ("why", ["why", "g1"]),
        ("show", ["show", "g1"]),
        ("get-attempts", ["get", "attempts"]),
    ],
)
def test_golden(name, words, world, site, groups):
    """Read as a user reads it; what is printed changes on purpose only."""
    done = there(world, *words)
    assert done.exit_code == 0, done.exception
    printed = "\n".join(line.rstrip() for line in done.stdout.split("\n"))
    assert printed == (GOLDEN / f"{name}.txt").read_text()


def test_tonight_has_groups_from_the_server_and_recordings_from_the_keeper(world, site, groups):
    on_cluster, on_laptop = there(world, "tonight"), here(world, "tonight")
    assert on_cluster.exit_code == 0, on_cluster.exception
    assert on_cluster.stdout == on_laptop.stdout
    text = on_cluster.stdout
    assert text.startswith("last 24 h: 2 recordings (1 incomplete), 0 still being written; groups: 1 failed, 1 running")
    assert "2026-01-25T22:10:00 is in no group: the run ended before minSize" in text
    assert json.loads(there(world, "tonight", "--json").stdout)["arrived"] == {"sealed": 1, "incomplete": 1}


def test_on_a_terminal_tonight_is_looked_at_seldom(world, site, groups, monkeypatch):
    """Each look starts a process beside the keeper."""
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", pause)
    env = {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "200", "KUBECONFIG": str(world.server.kubeconfig)}
    done = CliRunner().invoke(app, ["--context", "x", "-n", "contimg", "tonight"], env=env)
    assert (done.exit_code, pauses) == (130, [15.0, 15.0])
    assert done.output.count("last 24 h: 2 recordings") >= 1


def test_many_groups_come_in_pages(world, groups, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 1)
    assert there(world, "get", "groups").stdout == here(world, "get", "groups").stdout


def test_why_of_a_file_says_whether_it_is_what_was_applied(world, groups, tmp_path):
    path = tmp_path / "g.yaml"
    path.write_text(json.dumps(body(group("g1", minMembers=1, replay=7))))
    assert "says something else" not in there(world, "why", path).stdout
    path.write_text(json.dumps(body(group("g1", minMembers=2))))
    assert there(world, "why", path).stdout.endswith(
        f"The file says something else; take it up with: kubectl apply -f {path}\n"
    )
    path.write_text(json.dumps(body(group("new"))))
    said = "new is not in namespace 'contimg' of context 'x' yet; start it with: kubectl apply -f"
    assert there(world, "why", path).stdout.startswith(said)


def test_why_of_what_no_operator_has_seen(world):
    world.server.apply(body(group("fresh")), namespace="contimg")
    assert "fresh has no status that can be read: no operator has looked at it" in there(world, "why", "fresh").stdout
    assert (
        "fresh (pipeline dsa110-continuum, from namespace 'contimg' of context 'x')"
        in there(world, "show", "fresh").stdout
    )


def test_why_says_when_an_edit_is_not_judged_yet(world):
    put(world, group("edited"), group_status())
    world.server.apply(body(group("edited", minMembers=1)), namespace="contimg")
    assert there(world, "why", "edited").stdout.endswith(
        "It was edited since; the operator has not judged the edit yet.\n"
    )


def test_a_status_edited_to_nonsense_is_no_traceback(world):
    put(world, group("broken"), group_status())
    patch = ("patch", "og", "broken", "-n", "contimg", "--subresource=status", "--type=merge", "-p")
    world.server.kubectl(*patch, json.dumps({"status": {"conditions": []}}))
    assert "has no status that can be read" in there(world, "why", "broken").stdout
    assert there(world, "get", "groups", "--group", "broken").exit_code == 0


def test_replay_raises_it_in_the_cluster_and_leaves_the_file_alone(world, tmp_path):
    world.server.apply(body(group("again")), namespace="contimg")
    path = tmp_path / "again.yaml"
    path.write_text(json.dumps(body(group("again"))))
    before = path.read_text()
    assert (
        there(world, "replay", "again").stdout == "again in namespace 'contimg' of context 'x': spec.replay is now 1\n"
    )
    assert "spec.replay is now 2" in there(world, "replay", path).stdout
    found = world.server.get("og", "again", "contimg")
    assert found["spec"]["replay"] == 2
    assert path.read_text() == before


def test_replay_does_not_overwrite_what_somebody_else_wrote(world, monkeypatch):
    world.server.apply(body(group("both")), namespace="contimg")
    monkeypatch.setenv("KUBECONFIG", str(world.server.kubeconfig))
    store = module.Cluster("x", "contimg", ()).store()
    store.names()
    world.server.apply(body(group("both", minMembers=1)), namespace="contimg")
    with pytest.raises(Unavailable, match="somebody else changed it at the same time"):
        store.raise_replay("both")


def test_replay_of_a_group_that_was_deleted_meanwhile_is_no_success(world, monkeypatch):
    world.server.apply(body(group("going")), namespace="contimg")
    monkeypatch.setenv("KUBECONFIG", str(world.server.kubeconfig))
    store = module.Cluster("x", "contimg", ()).store()
    store.names()
    world.server.kubectl("delete", "og", "going", "-n", "contimg")
    with pytest.raises(BadConfig, match=r"group 'going' in .* was just deleted"):
        store.raise_replay("going")


# -- what is wrong, in words ----------------------------------------------------------------------------------------


def told(done, kind, *parts):
    """Check that a command ended with one sentence of a class, which holds some words."""
    assert isinstance(done.exception, kind), (done.exception, done.output)
    text = str(done.exception)
    assert "\n" not in text
    for part in parts:
        assert part in text, text


def test_without_definitions(world):
    assert world.before.startswith("the cluster of context 'x' knows no observationgroups.contimg.dsa110.org; install")


@pytest.mark.parametrize("words", [["get", "groups"], ["get", "products"], ["why", "g1"], ["tonight"], ["log", "0000"]])
def test_no_kubeconfig(words, world, tmp_path):
    told(there(world, *words, kubeconfig=tmp_path / "none"), BadConfig, "no usable kubeconfig at", "set KUBECONFIG")


@pytest.mark.parametrize("text", ["", "{garbage", "[]", "kind: Config\n", "a: *b"])
def test_a_kubeconfig_that_is_none(text, world, tmp_path):
    (tmp_path / "k").write_text(text)
    told(there(world, "get", "groups", kubeconfig=tmp_path / "k"), BadConfig, "kubeconfig", str(tmp_path / "k"))


def test_an_unknown_context(world):
    told(there(world, "get", "groups", context="xx"), BadConfig, "no context 'xx'", "did you mean 'x'", "it has x")


def test_a_user_that_is_not_in_the_file(world, tmp_path):
    (tmp_path / "k").write_text(world.server.kubeconfig.read_text().replace("user: u", "user: other"))
    done = there(world, "get", "groups", kubeconfig=tmp_path / "k")
    assert isinstance(done.exception, BadConfig | UserError)


def test_the_current_context_and_its_namespace_are_taken(world, groups):
    kubeconfig = world.kubeconfig("looks")
    asked = there(world, "get", "groups", "--limit", "1", kubeconfig=kubeconfig, context="", namespace="")
    assert asked.stdout.splitlines()[1].startswith("again" if "again" in asked.stdout else asked.stdout.split("\n")[1])
    assert asked.exit_code == 0
    assert there(world, "get", "groups", kubeconfig=kubeconfig, context=None).exit_code == 0


def test_a_server_that_is_away(world, tmp_path):
    (tmp_path / "k").write_text(world.server.kubeconfig.read_text().replace(f":{world.server.port}", ":1"))
    told(
        there(world, "get", "groups", kubeconfig=tmp_path / "k"), Unavailable, "https://127.0.0.1:1", "does not answer"
    )


def test_a_server_that_hangs(world, tmp_path, monkeypatch):
    monkeypatch.setattr(kube, "TIMEOUT_S", (0.5, 0.5))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        away = world.server.kubeconfig.read_text().replace(f":{world.server.port}", f":{silent.getsockname()[1]}")
        (tmp_path / "k").write_text(away)
        told(there(world, "get", "groups", kubeconfig=tmp_path / "k"), Unavailable, "does not answer", "timed out")


def test_a_token_that_is_refused(world, tmp_path):
    world.server.write_kubeconfig(tmp_path / "k", "stale")
    told(there(world, "get", "groups", kubeconfig=tmp_path / "k"), UserError, "does not know you", "log in again")


def test_a_user_without_rights(world):
    done = there(world, "get", "groups", kubeconfig=world.kubeconfig("nobody"))
    told(
        done,
        UserError,
        "you may not list observationgroups",
        "system:serviceaccount:contimg:nobody",
        "ask whoever runs",
    )


def test_who_may_look_may_not_edit_nor_read_records(world, groups):
    kubeconfig = world.kubeconfig("looks")
    assert there(world, "why", "g1", kubeconfig=kubeconfig).exit_code == 0
    told(there(world, "replay", "g1", kubeconfig=kubeconfig), UserError, "you may not patch observationgroups")
    told(there(world, "get", "runs", kubeconfig=kubeconfig), UserError, "you may not list pods", "ask whoever runs")


def test_who_may_exec_reads_records_and_who_may_patch_replays(world, site, groups):
    assert there(world, "get", "runs", kubeconfig=world.kubeconfig("reads")).exit_code == 0
    world.server.apply(body(group("mine")), namespace="contimg")
    assert there(world, "replay", "mine", kubeconfig=world.kubeconfig("edits")).exit_code == 0


def test_listing_pods_is_not_yet_exec(world):
    world.server.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "looks"},
            "rules": [
                {"apiGroups": ["contimg.dsa110.org"], "resources": ["*"], "verbs": ["get", "list"]},
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
            ],
        },
        namespace="contimg",
    )  # fmt: skip
    done = there(world, "get", "runs", kubeconfig=world.kubeconfig("looks"))
    allow(world.server, "looks", PEOPLE["looks"])
    told(done, UserError, "you may not exec into pods", "ask whoever runs")


def test_a_namespace_that_is_not_there(world):
    told(there(world, "get", "groups", namespace="contmig"), BadConfig, "no namespace 'contmig'", "mean 'contimg'")
    told(there(world, "get", "products", namespace="contmig"), BadConfig, "no namespace 'contmig'")


@pytest.mark.parametrize("word", ["../kube-system", "a b", "a\0b", "x" * 300, "A", "é", "-a"])
def test_hostile_names(word, world, groups):
    told(there(world, "get", "groups", namespace=word), BadConfig, "is no name of a namespace")
    told(there(world, "get", "groups", context=word), BadConfig, "has no context")
    told(there(world, "why", "g" + word), BadConfig)
    told(there(world, "replay", "g" + word), BadConfig)


def test_a_reader_that_goes_away_ends_it_quietly(world, site):
    contimg = Path(sys.executable).parent / "contimg"
    command = f"{contimg} --context x -n contimg log {site['image'][:8]} | head -1"
    environment = {**os.environ, "KUBECONFIG": str(world.server.kubeconfig)}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.startswith("== ")
    assert "Traceback" not in done.stderr


def test_who_may_not_ask_for_the_namespace_is_not_bothered(world):
    world.server.kubectl("create", "namespace", "silent")
    done = there(world, "get", "groups", namespace="silent")
    assert done.exit_code == 0
    assert done.stdout.startswith("group ")


def test_a_group_that_is_not_there(world, groups):
    told(there(world, "why", "g11"), BadConfig, "no group 'g11' in namespace 'contimg'", "did you mean 'g1'")


def test_no_keeper(world):
    world.server.kubectl("create", "namespace", "empty")
    told(
        there(world, "get", "runs", namespace="empty"),
        Unavailable,
        "no keeper runs in namespace 'empty'",
        "helm list -n empty",
    )


def test_a_keeper_of_another_program_is_none(world):
    keeper_pod(world.server, "foreign", program="other")
    told(there(world, "get", "runs", namespace="foreign"), Unavailable, "no keeper runs in namespace 'foreign'")


def test_a_keeper_that_is_being_ended(world):
    keeper_pod(world.server, "ending")
    world.server.kubectl("delete", "pod", "contimg-keeper-0", "-n", "ending", "--grace-period=600", "--wait=false")
    told(
        there(world, "get", "runs", namespace="ending"),
        Unavailable,
        "contimg-keeper-0",
        "is just being ended; do it again",
    )


def test_a_keeper_that_does_not_run_yet(world):
    waiting = {"name": "keeper", "ready": False, "restartCount": 0, "image": "x", "imageID": ""}
    waiting |= {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image x"}}}
    keeper_pod(world.server, "young", phase="Pending", status={"containerStatuses": [waiting]})
    told(
        there(world, "get", "runs", namespace="young"),
        Unavailable,
        "does not run yet: ImagePullBackOff: no such image x",
    )


def test_a_keeper_that_nobody_has_placed(world):
    reason = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: no volume"}
    keeper_pod(world.server, "unplaced", phase="Pending", node="", status={"conditions": [reason]})
    told(there(world, "get", "runs", namespace="unplaced"), Unavailable, "Unschedulable: 0/1 nodes: no volume")


def test_a_node_that_is_away(world):
    keeper_pod(world.server, "lost", node="gone")
    done = there(world, "get", "runs", namespace="lost")
    told(done, Unavailable, "pod contimg-keeper-0 in namespace 'lost'", "or its node, is gone")


def test_a_container_of_another_name(world, site):
    keeper_pod(world.server, "named", container="main")
    assert there(world, "get", "runs", namespace="named").exit_code == 0


# -- which commands -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["run", "x.yaml"], ["doctor"], ["watch", "s.yaml"], ["verify", "g"], ["pipeline", "list"]]
)
def test_commands_of_this_machine_say_so(words, world):
    told(there(world, *words), BadConfig, f"'contimg {words[0]}' works on this machine")


def test_directories_of_this_machine_say_so(world):
    told(
        there(world, "get", "groups", "--stage-base", "/x"), BadConfig, "--stage-base names a directory of this machine"
    )


def test_help_needs_no_cluster(tmp_path):
    done = CliRunner().invoke(app, ["--context", "x", "why", "--help"], env={"KUBECONFIG": str(tmp_path / "none")})
    assert done.exit_code == 0


def test_on_this_machine_nobody_waits_for_the_client(tmp_path):
    code = (
        "import sys; from typer.testing import CliRunner; from contimg.cli.main import app\n"
        "for words in (['get', 'groups'], ['tonight'], ['why', 'x'], ['--help']): CliRunner().invoke(app, words)\n"
        "raise SystemExit('kubernetes' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_output_fits_the_users_terminal_and_a_pipe_stays_plain(monkeypatch, world, site):
    class Terminal:
        """Standard output of a user who looks."""

        def isatty(self):
            return True

    monkeypatch.setattr(keeperpod.sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "97")
    monkeypatch.setenv("TERM", "vt100")
    assert {"FORCE_COLOR=1", "COLUMNS=97", "TERM=vt100"} <= set(keeperpod._terminal())
    monkeypatch.undo()
    there(world, "get", "runs")
    assert world.node.commands[-1] == ["env", "python", "-m", "contimg.cli", "get", "runs"]
