"""What nobody may do: users of the bus, the publisher in the object store, service accounts at the API server."""

from __future__ import annotations

import asyncio
import io
import subprocess

import nats
import pytest
from cluster.release import STAGES, Release
from minio import Minio
from minio.error import S3Error
from minio.versioningconfig import SUSPENDED, VersioningConfig
from nats.errors import Error as NatsError

OPERATOR_MAY_NOT = [
    ("get", "secrets"), ("list", "secrets"), ("list", "configmaps"), ("create", "pods"), ("delete", "pods"),
    ("create", "pods/exec"), ("patch", "deployments.apps"), ("delete", "observationgroups.contimg.dsa110.org"),
    ("patch", "observationgroups.contimg.dsa110.org"), ("update", "pipelines.contimg.dsa110.org"),
    ("delete", "pipelines.contimg.dsa110.org"), ("delete", "surveys.contimg.dsa110.org"),
    ("create", "rolebindings.rbac.authorization.k8s.io"), ("create", "serviceaccounts/token"),
]  # fmt: skip
NOBODY_MAY = ["customresourcedefinitions.apiextensions.k8s.io", "nodes", "persistentvolumes", "namespaces"]


def can_i(release: Release, account: str, verb: str, resource: str, *words: str) -> bool:
    """Ask the API server whether a service account may do something."""
    user = f"--as=system:serviceaccount:{release.namespace}:{release.name}-{account}"
    argv = ["kubectl", "auth", "can-i", verb, resource, user, *(words or ("-n", release.namespace))]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip() == "yes"


@pytest.mark.parametrize(("verb", "resource"), OPERATOR_MAY_NOT)
def test_the_operator_may_not(release: Release, verb: str, resource: str) -> None:
    assert not can_i(release, "operator", verb, resource)


@pytest.mark.parametrize("resource", NOBODY_MAY)
def test_nothing_of_the_whole_cluster(release: Release, resource: str) -> None:
    for account in ("operator", "keeper", "publish"):
        assert not can_i(release, account, "get", resource)


def test_the_operator_sees_its_own_namespace_alone(release: Release) -> None:
    groups = "observationgroups.contimg.dsa110.org"
    assert can_i(release, "operator", "list", groups)
    assert not can_i(release, "operator", "list", groups, "-n", "default")
    assert not can_i(release, "operator", "list", groups, "--all-namespaces")


@pytest.mark.parametrize("account", ["keeper", "ingest", *STAGES])
def test_services_have_neither_rights_nor_a_token(release: Release, account: str) -> None:
    assert not can_i(release, account, "list", "observationgroups.contimg.dsa110.org")
    (pod,) = release.pods(account)
    assert pod["spec"]["automountServiceAccountToken"] is False
    volumes = [name for volume in pod["spec"]["volumes"] for name in volume]
    assert "projected" not in volumes


@pytest.fixture(scope="module")
def bus(release: Release):
    with release.forwarded(f"svc/{release.name}-nats", 4222) as port:
        yield f"nats://127.0.0.1:{port}"


async def refusals(url: str, user: str, password: str, subject: str, *, listen: bool = False) -> list[str]:
    """Publish or subscribe as a user and return what the server objects to."""
    heard: list[str] = []

    async def note(error: Exception) -> None:
        heard.append(str(error))

    client = await nats.connect(
        url, user=user, password=password, error_cb=note, allow_reconnect=False, inbox_prefix=f"_INBOX_{user}".encode()
    )
    if listen:
        await client.subscribe(subject)
    else:
        await client.publish(subject, b"{}")
    try:
        await client.flush(timeout=5)
        await asyncio.sleep(0.1)  # an objection is a message of its own, which may come after the answer
    finally:
        await client.close()
    return [each for each in heard if "ermissions" in each]


NEXT = STAGES[1:] + STAGES[:1]
DENIED = [
    *((stage, f"contimg.task.main.{other}.0", False) for stage, other in zip(STAGES, NEXT, strict=True)),
    *((stage, "_INBOX_host.>", True) for stage in STAGES),
    ("convert", "contimg.rpc.main.wanted", False),
    ("convert", "$JS.API.STREAM.DELETE.CONTIMG_TASKS", False),
    ("keeper", "contimg.task.main.convert.0", False),
    ("keeper", "$JS.API.STREAM.PURGE.CONTIMG_TASKS", False),
    ("keeper", "contimg.event.main.publish.committed", False),
    ("host", "contimg.rpc.main.register", False),
    ("publish", "contimg.event.main.convert.committed", False),
    ("convert", "$SYS.>", True),
    ("host", "_INBOX_convert.>", True),
    ("publish", "contimg.rpc.main.facts", True),
]  # fmt: skip


@pytest.mark.parametrize(("user", "subject", "listen"), DENIED)
async def test_users_of_the_bus_are_refused(release: Release, bus: str, user: str, subject: str, listen: bool) -> None:
    passwords = release.secret("bus")
    assert await refusals(bus, user, passwords[user], subject, listen=listen), f"{user} was let to {subject}"


async def test_a_wrong_password_is_refused(bus: str) -> None:
    with pytest.raises(NatsError):
        await nats.connect(bus, user="host", password="wrong", allow_reconnect=False, max_reconnect_attempts=0)  # noqa: S106


async def test_nobody_without_a_name_gets_in(bus: str) -> None:
    with pytest.raises(NatsError):
        await nats.connect(bus, allow_reconnect=False, max_reconnect_attempts=0)


@pytest.fixture(scope="module")
def publisher(release: Release):
    keys = release.secret("store")
    with release.forwarded(f"svc/{release.name}-minio", 9000) as port:
        client = Minio(f"127.0.0.1:{port}", keys["access-key"], keys["secret-key"], secure=False, region="us-east-1")
        client.put_object("contimg", "rights/probe", io.BytesIO(b"x"), 1)
        yield client


STORE = {
    "delete an object": lambda client: client.remove_object("contimg", "rights/probe"),
    "make a bucket": lambda client: client.make_bucket("another"),
    "remove the bucket": lambda client: client.remove_bucket("contimg"),
    "stop versioning": lambda client: client.set_bucket_versioning("contimg", VersioningConfig(SUSPENDED)),
    "open the bucket": lambda client: client.set_bucket_policy("contimg", '{"Version": "2012-10-17", "Statement": []}'),
    "list buckets' policy": lambda client: client.get_bucket_policy("contimg"),
}


@pytest.mark.parametrize("what", STORE)
def test_the_publisher_may_not(publisher: Minio, what: str) -> None:
    with pytest.raises(S3Error, match=r"AccessDenied|Access Denied"):
        STORE[what](publisher)
