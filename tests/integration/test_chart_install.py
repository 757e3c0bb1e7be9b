"""The chart on a real API server: every object is taken, an upgrade changes nothing, what must stay stays."""

from __future__ import annotations

import json

import pytest
import yaml
from apiserver import ApiServer, needs_programs
from chart import SETS, helm, needs_helm, rendered
from chart_files import CHART

pytestmark = [pytest.mark.integration, needs_helm, needs_programs]
FOREIGN = {"ScaledObject", "PodMonitor", "PrometheusRule"}
"""Kinds of other products' definitions."""
KEPT = {"Secret", "PersistentVolumeClaim", "PersistentVolume"}
LOCAL = CHART / "ci" / "local.yaml"
ELSEWHERE = CHART / "ci" / "external.yaml"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ApiServer(tmp_path_factory.mktemp("api")) as running:
        for name in ("tel", "other", "third"):
            running.kubectl("create", "namespace", name)
            running.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
        running.kubectl("create", "priorityclass", "observatory", "--value=1000")
        yield running


def install(server, *words, release="contimg", namespace="tel", values=LOCAL):
    common = ["-n", namespace, "-f", str(values), "--kubeconfig", str(server.kubeconfig)]
    return helm("upgrade", "--install", release, str(CHART), *common, *words)


def objects(server, namespace="tel"):
    """Return what the release has made, by kind and name: its specification, generation and content."""
    kinds = "deploy,sts,job,pvc,pv,cm,secret,sa,role,rolebinding,svc,crd,storageclass"
    found = server.kubectl("get", kinds, "-n", namespace, "-o", "json").stdout
    return {
        (item["kind"], item["metadata"]["name"]): (
            item["metadata"].get("generation"),
            item.get("spec"),
            item.get("data"),
        )
        for item in json.loads(found)["items"]
        if not item["metadata"]["name"].startswith("sh.helm") and "app.kubernetes.io/name" in str(item["metadata"])
    }


@pytest.fixture(scope="module")
def installed(server):
    done = install(server)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("values", SETS)
def test_the_server_takes_every_object_of_every_value_set(server, values):
    ours = [item for item in rendered(values) if item["kind"] not in FOREIGN]
    done = server.kubectl("apply", "--dry-run=server", "-n", "tel", "-f", "-", text=yaml.safe_dump_all(ours))
    assert "would violate" not in done.stderr


def test_notes_name_the_next_commands_with_real_names(installed):
    for command in (
        "kubectl -n tel wait --for=condition=Available deployment -l app.kubernetes.io/instance=contimg",
        "helm test contimg -n tel",
        "kubectl -n tel apply -f docs/samples/group.yaml && kubectl -n tel get og -w",
    ):
        assert command in installed.stdout


def test_an_upgrade_without_change_changes_nothing(server, installed):
    before = objects(server)
    assert len(before) > 40
    assert install(server).returncode == 0
    assert objects(server) == before


def kept(server):
    return {name: found for name, found in objects(server).items() if name[0] in KEPT}


def test_what_must_survive_an_uninstall_survives_and_is_taken_up_again(server, installed):
    before = kept(server)
    done = helm("uninstall", "contimg", "-n", "tel", "--kubeconfig", str(server.kubeconfig))
    assert done.returncode == 0, done.stderr
    left = {kind for kind, _ in objects(server)}
    assert left == KEPT
    assert "observationgroups" in server.kubectl("get", "crd", "-o", "name").stdout
    assert server.kubectl("get", "pv", "-o", "name").stdout.count("contimg-") == 6
    done = install(server)
    assert done.returncode == 0, done.stderr
    assert kept(server) == before


def test_a_second_release_on_the_same_directories_is_refused(server, installed):
    done = install(server, "--set", "crds.install=false", namespace="other")
    assert "belongs to release tel/contimg; two releases on one volume would spoil each other's work" in done.stderr
    assert "volumes.state.local" in done.stderr


def test_a_second_release_leaves_the_definitions_to_the_first(server, installed):
    done = install(server, namespace="other", values=ELSEWHERE)
    assert "definitions of this cluster belong to release tel/contimg; set crds.install: false here" in done.stderr
    assert install(server, "--set", "crds.install=false", namespace="third", values=ELSEWHERE).returncode == 0


def test_a_class_that_is_not_there_is_named(server, installed):
    done = install(server, values=CHART / "ci" / "tests.yaml")
    assert "volumes.state.storageClass: this cluster has no StorageClass" in done.stderr


BUILT_IN = ("system:aggregate-to-admin", "system:aggregate-to-edit", "system:aggregate-to-view")
"""What ClusterRole ``admin`` is made of; the controller that adds them up does not run here."""
HANDED_OUT = "observationgroups,observationgroups/status,surveys,surveys/status,pipelines"


def test_the_administrator_of_one_namespace_installs_what_is_locked_down(server, installed):
    """Beside ``admin`` only what the release itself hands out: nobody may give rights that they have not."""
    server.kubectl("create", "namespace", "mine")
    for role in BUILT_IN:
        server.kubectl("create", "rolebinding", f"ada-{role[7:]}", f"--clusterrole={role}", "--user=ada", "-n", "mine")
    server.kubectl("create", "role", "groups", "--verb=*", f"--resource={HANDED_OUT}", "-n", "mine")
    server.kubectl("create", "rolebinding", "ada-groups", "--role=groups", "--user=ada", "-n", "mine")
    done = install(server, "--kube-as-user=ada", namespace="mine", values=CHART / "ci" / "locked-down.yaml")
    assert done.returncode == 0, done.stderr
    assert answer(server, "get", "storageclasses.storage.k8s.io", "ada", "mine") == "no"


OPERATOR = "system:serviceaccount:tel:contimg-operator"
DENIED = [
    ("get", "secrets"), ("list", "secrets"), ("get", "pods"), ("create", "pods"), ("create", "pods/exec"),
    ("delete", "observationgroups.contimg.dsa110.org"), ("patch", "observationgroups.contimg.dsa110.org"),
    ("update", "observationgroups.contimg.dsa110.org"), ("create", "surveys.contimg.dsa110.org"),
    ("update", "surveys.contimg.dsa110.org"), ("delete", "pipelines.contimg.dsa110.org"),
    ("update", "pipelines.contimg.dsa110.org"), ("get", "configmaps"), ("delete", "persistentvolumeclaims"),
    ("patch", "deployments.apps"), ("list", "events"), ("get", "customresourcedefinitions.apiextensions.k8s.io"),
    ("create", "rolebindings.rbac.authorization.k8s.io"), ("create", "serviceaccounts/token"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "resource"), DENIED, ids=" ".join)
def test_the_operator_may_not(server, installed, verb, resource):
    assert answer(server, verb, resource, OPERATOR) == "no"


def answer(server, verb, resource, user, namespace="tel"):
    what, _, part = resource.partition("/")
    words = ["auth", "can-i", verb, what, "-n", namespace, "--as", user, *([f"--subresource={part}"] if part else [])]
    return server.kubectl(*words, check=False).stdout.strip()


def test_the_operator_may_nothing_in_another_namespace(server, installed):
    for verb, resource in (("list", "observationgroups.contimg.dsa110.org"), ("create", "events")):
        assert answer(server, verb, resource, OPERATOR) == "yes"
        assert answer(server, verb, resource, OPERATOR, "other") == "no"


@pytest.mark.parametrize("service", ["keeper", "publish", "nats", "minio"])
def test_no_other_service_may_do_anything(server, installed, service):
    account = f"system:serviceaccount:tel:contimg-{service}"
    for resource in ("observationgroups.contimg.dsa110.org", "secrets", "pods"):
        assert answer(server, "get", resource, account) == "no"


def test_people_look_or_edit_as_they_are_bound(server, installed):
    for role, user in (("view", "ada"), ("edit", "grace"), ("records", "joan")):
        words = ["create", "rolebinding", user, f"--role=contimg-{role}", f"--user={user}", "-n", "tel"]
        server.kubectl(*words, check=False)
    groups = "observationgroups.contimg.dsa110.org"
    assert [answer(server, verb, groups, "ada") for verb in ("watch", "create", "delete")] == ["yes", "no", "no"]
    assert [answer(server, verb, groups, "grace") for verb in ("watch", "patch", "delete")] == ["yes", "yes", "yes"]
    assert answer(server, "update", f"{groups}/status", "grace") == "no"
    assert [answer(server, "create", "pods/exec", user) for user in ("ada", "grace", "joan")] == ["no", "no", "yes"]
    assert answer(server, "get", groups, "joan") == "no"


KINDS = tuple(f"{plural}.contimg.dsa110.org" for plural in ("observationgroups", "surveys", "pipelines"))
GUIDE = [
    *((verb, kind) for kind in KINDS for verb in ("get", "list", "watch", "create", "patch", "delete")),
    ("list", "events"), ("list", "pods"), ("get", "pods"), ("create", "pods/exec"), ("get", "pods/exec"),
]  # fmt: skip
"""What the astronomer's guide does; before Kubernetes 1.35 ``exec`` by WebSocket is judged as ``get``."""
NOT_ASTRONOMERS = [
    ("get", "secrets"), ("get", "configmaps"), ("get", "pods/log"), ("create", "pods"), ("delete", "pods"),
    ("create", "pods/attach"), ("create", "pods/portforward"), ("patch", "deployments.apps"),
    ("update", "observationgroups.contimg.dsa110.org/status"), ("create", "rolebindings.rbac.authorization.k8s.io"),
]  # fmt: skip


def test_edit_and_records_are_what_the_guide_needs_and_no_more(server, installed):
    for role in ("edit", "records"):
        words = ["create", "rolebinding", f"ann-{role}", f"--role=contimg-{role}", "--user=ann", "-n", "tel"]
        server.kubectl(*words)
    assert [each for each in GUIDE if answer(server, *each, "ann") != "yes"] == []
    assert [each for each in NOT_ASTRONOMERS if answer(server, *each, "ann") != "no"] == []
    rules = json.loads(server.kubectl("get", "role", "contimg-records", "-n", "tel", "-o", "json").stdout)["rules"]
    given = {(verb, resource) for rule in rules for verb in rule["verbs"] for resource in rule["resources"]}
    assert given <= set(GUIDE)
