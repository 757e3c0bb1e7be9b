"""Every pod: restricted, without a token, with probes and limits, with exactly the volumes it needs."""

from __future__ import annotations

import re

import pytest
from chart import SETS, containers, find, pods, rendered

from contimg.settings import Settings

STAGES = {"convert", "group", "solve", "apply", "image", "mosaic", "crossmatch", "publish"}
HOSTS = re.compile(r"(?:https?|nats|tls)://(?:cluster:[^@]+@)?([A-Za-z0-9.-]+)")


@pytest.mark.parametrize("values", SETS)
def test_pods_meet_the_restricted_standard(values):
    for metadata, spec in pods(rendered(values)):
        security = spec["securityContext"]
        assert security["runAsNonRoot"], metadata["name"]
        assert (security["runAsUser"], security["fsGroup"]) == (10001, 10001)
        assert security["fsGroupChangePolicy"] == "OnRootMismatch"
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC", "initContainers"}
        assert all("hostPath" not in volume for volume in spec["volumes"])
    for name, container in containers(rendered(values)):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


@pytest.mark.parametrize("values", SETS)
def test_only_the_operator_has_a_token(values):
    with_token = [m["name"] for m, spec in pods(rendered(values)) if spec["automountServiceAccountToken"]]
    assert with_token == ["contimg-operator"]
    accounts = [item for item in rendered(values) if item["kind"] == "ServiceAccount"]
    assert not any(item["automountServiceAccountToken"] for item in accounts)


@pytest.mark.parametrize("values", SETS)
def test_every_container_says_what_it_needs_and_runs_a_fixed_image(values):
    for name, container in containers(rendered(values)):
        assert container["resources"]["limits"]["memory"], name
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
        assert re.search(r":0\.1\.0$|@sha256:[0-9a-f]{64}$", container["image"]), name


@pytest.mark.parametrize("values", SETS)
def test_servers_have_three_probes(values):
    for item in rendered(values):
        if item["kind"] in {"Deployment", "StatefulSet"}:
            (container,) = item["spec"]["template"]["spec"]["containers"]
            assert container.keys() >= {"startupProbe", "livenessProbe", "readinessProbe"}


@pytest.mark.parametrize("values", SETS)
def test_no_host_of_the_world_is_named_but_in_images(values):
    for item in rendered(values):
        if item["kind"] != "CustomResourceDefinition":
            named = set(HOSTS.findall(str(item)))
            assert all(host.startswith("contimg-") or host.endswith("example.org") for host in named), named


@pytest.mark.parametrize("values", SETS)
def test_every_variable_is_one_that_the_services_understand(values):
    for name, container in containers(rendered(values)):
        given = {each["name"]: each.get("value", "x") for each in container["env"]}
        if "CONTIMG_SHARD" in given:
            Settings.from_environment(given), name


def mounted(name, values="local"):
    (container,) = find(rendered(values), "Deployment", f"contimg-{name}")["spec"]["template"]["spec"]["containers"]
    return {item["name"]: item.get("readOnly", False) for item in container["volumeMounts"] if item["name"] != "tmp"}


def test_each_service_mounts_what_it_needs_and_no_more():
    assert mounted("operator") == {}
    assert mounted("keeper") == {"staging": False, "data": True, "state": False}
    assert mounted("ingest") == {"state": False, "incoming": True}
    assert mounted("convert") == {"staging": False, "state": False, "incoming": True}
    assert mounted("publish") == {"staging": False, "state": False, "data": False}
    for name in STAGES - {"convert", "publish"}:
        assert mounted(name) == {"staging": False, "state": False}


def test_no_volume_is_mounted_by_a_path_inside_it():
    for _, container in containers(rendered()):
        assert all("subPath" not in item for item in container.get("volumeMounts", ()))


def test_only_the_publisher_has_keys_of_the_store():
    for name, container in containers(rendered()):
        keys = [item["name"] for item in container["env"] if "S3_SECRET" in item["name"]]
        pods_with_keys = ("contimg-publish", "contimg-store-setup", "contimg-test")
        assert bool(keys) == (name.startswith(pods_with_keys) and container["name"] in {"publish", "store-setup"})


def test_keeper_operator_and_ingest_are_never_two_and_workers_have_no_surge():
    for item in rendered():
        if item["kind"] == "Deployment":
            name, strategy = item["metadata"]["name"].removeprefix("contimg-"), item["spec"]["strategy"]
            if name in STAGES:
                assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
            else:
                assert strategy == {"type": "Recreate"}
                assert item["spec"]["replicas"] == 1


def test_a_digest_goes_before_the_tag():
    images = {container["name"]: container["image"] for _, container in containers(rendered("locked-down"))}
    assert images["convert"] == "registry.example.org/mirror/contimg-convert@sha256:" + 64 * "1"
    assert images["image"] == "registry.example.org/mirror/contimg-image:0.1.0"


def templates(*settings):
    objects = rendered("local", *settings)
    return {m["name"]: (m.get("labels"), m.get("annotations"), spec) for m, spec in pods(objects) if m["name"]}


def test_pods_change_only_when_their_meaning_does():
    before = templates()
    assert templates("networkPolicies.enabled=true", "crds.keep=false", "monitoring.podMonitors=true") == before
    changed = {name for name, pod in templates("nats.syncInterval=1s").items() if pod != before[name]}
    assert changed == {"contimg-nats"}
    changed = {
        name for name, pod in templates("stages.image.resources.limits.memory=9Gi").items() if pod != before[name]
    }
    assert changed == {"contimg-image"}


PLACED = [
    "nodeSelector.disk=fast",
    "priorityClassName=night",
    "tolerations[0].operator=Exists",
    "image.pullSecrets[0].name=s",
]


@pytest.mark.parametrize("setting", PLACED)
def test_a_job_whose_pod_is_placed_elsewhere_has_another_name(setting):
    """Nobody may change the pod of a Job that is there: the upgrade would be refused."""
    jobs = [
        [item["metadata"]["name"] for item in of if item["kind"] == "Job"]
        for of in (rendered(), rendered("local", setting))
    ]
    assert jobs[0] != jobs[1]


def test_versions_are_not_part_of_a_pods_template():
    for item in rendered():
        if item["kind"] in {"Deployment", "StatefulSet"}:
            assert not any("chart" in key or "version" in key for key in item["spec"]["template"]["metadata"]["labels"])


def test_times_and_limits_reach_every_service():
    for name, container in containers(rendered("tests")):
        given = {item["name"]: item.get("value") for item in container["env"]}
        if "CONTIMG_SHARD" in given:
            assert given["CONTIMG_TIME_SCALE"] == "0.2", name
            assert given["CONTIMG_LIMIT_STALL_AFTER_S"] == "60"
            assert given["CONTIMG_LIMIT_STREAM_BYTES"] == "33554432"


def test_a_workspace_in_memory_is_mounted_where_attempts_work():
    for name in STAGES:
        spec = find(rendered("tests"), "Deployment", f"contimg-{name}")["spec"]["template"]["spec"]
        assert {"name": "workspace", "emptyDir": {"medium": "Memory", "sizeLimit": "512Mi"}} in spec["volumes"]
        assert "CONTIMG_WORKSPACE_DIR" in str(spec["containers"])
    keeper = find(rendered("tests"), "Deployment", "contimg-keeper")["spec"]["template"]["spec"]
    assert "workspace" not in str(keeper).lower(), "it makes no attempts"


def test_an_autoscaled_stage_leaves_its_replicas_to_keda():
    objects = rendered("production")
    assert "replicas" not in find(objects, "Deployment", "contimg-image")["spec"]
    scaled = find(objects, "ScaledObject", "contimg-image")["spec"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (1, 6)
    assert scaled["triggers"][0]["metadata"]["consumer"] == "main-image"
