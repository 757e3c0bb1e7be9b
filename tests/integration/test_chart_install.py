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
