"""The Job that sets up the object store, against a real MinIO; the publisher can publish, and nothing else."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from apiserver import free_ports
from minio import Minio
from minio.error import S3Error
from minio.versioningconfig import SUSPENDED, VersioningConfig
from minio_server import minio, needs_minio

from contimg.errors import BadConfig, Unavailable
from contimg.objectstore import ObjectStore, S3Target
from contimg.store_setup import _add_publisher, main

pytestmark = [pytest.mark.integration, needs_minio]
__all__ = ["minio"]


@pytest.fixture(scope="module")
def environment(minio):
    """What the Job is told."""
    return {
        "CONTIMG_S3_URL": minio.url,
        "CONTIMG_S3_ACCESS_KEY": minio.access_key,
        "CONTIMG_S3_SECRET_KEY": minio.secret_key,
        "PUBLISHER_ACCESS_KEY": "publisher",
        "PUBLISHER_SECRET_KEY": "secret-of-publisher",
    }


@pytest.fixture(scope="module")
def publisher(minio, environment):
    """The publisher's target, of a store that was set up twice."""
    main(environment)
    main(environment)
    return replace(minio, access_key="publisher", secret_key=environment["PUBLISHER_SECRET_KEY"])


def client_of(target):
    return Minio(target.endpoint, target.access_key, target.secret_key, secure=False, region=target.region)


def names(minio):
    return {item.object_name for item in client_of(minio).list_objects(minio.bucket, recursive=True)}


def test_the_publisher_writes_and_reads(publisher, minio):
    client = client_of(publisher)
    client.put_object(publisher.bucket, "a/b", io.BytesIO(b"first"), 5)
    client.put_object(publisher.bucket, "a/b", io.BytesIO(b"second"), 6)
    assert client.get_object(publisher.bucket, "a/b").read() == b"second"
    versions = client_of(minio).list_objects(minio.bucket, "a/b", include_version=True)
    assert len(list(versions)) == 2, "what is overwritten is kept"


DENIED = {
    "delete": lambda client, bucket: client.remove_object(bucket, "a/b"),
    "make a bucket": lambda client, _: client.make_bucket("another"),
    "remove the bucket": lambda client, bucket: client.remove_bucket(bucket),
    "end versioning": lambda client, bucket: client.set_bucket_versioning(bucket, VersioningConfig(SUSPENDED)),
    "open the bucket": lambda client, bucket: client.set_bucket_policy(bucket, "{}"),
    "list another bucket": lambda client, _: list(client.list_objects("secret")),
    "delete a version": lambda client, bucket: client.remove_object(bucket, "a/b", version_id="null"),
}


@pytest.mark.parametrize("deed", DENIED)
def test_the_publisher_may_not(publisher, deed):
    with pytest.raises(S3Error, match="AccessDenied"):
        DENIED[deed](client_of(publisher), publisher.bucket)


def test_the_check_of_the_store_leaves_nothing(publisher, minio):
    before = names(minio)
    ObjectStore(publisher).check()
    assert names(minio) == before
    assert not client_of(minio)._list_multipart_uploads(minio.bucket).uploads


def test_a_missing_bucket_that_the_publisher_may_not_make_is_named(publisher):
    target = replace(publisher, bucket="nowhere")
    with pytest.raises(BadConfig, match=r"nowhere refuses access key 'publisher'.*give it the right to write there"):
        ObjectStore(target).prepare()


def test_a_bucket_that_is_gone_is_named(publisher, minio, environment):
    main(environment | {"CONTIMG_S3_URL": replace(minio, bucket="gone").url})
    client_of(minio).remove_bucket("gone")
    target = replace(publisher, bucket="gone")
    for deed in (ObjectStore(target).prepare, ObjectStore(target).check):
        with pytest.raises(BadConfig, match=r"bucket 'gone' does not exist.*make it or name another one"):
            deed()
    main(environment)


def test_a_changed_secret_counts_from_the_next_set_up(publisher, environment):
    changed = {"PUBLISHER_SECRET_KEY": "another-secret"}
    main(environment | changed)
    with pytest.raises(BadConfig, match="refuses access key 'publisher'"):
        ObjectStore(publisher).check()
    ObjectStore(replace(publisher, secret_key=changed["PUBLISHER_SECRET_KEY"])).check()
    main(environment)


def test_a_wrong_key_of_root_is_named(environment):
    with pytest.raises(BadConfig, match="refuses access key 'root-of-test'"):
        main(environment | {"CONTIMG_S3_SECRET_KEY": "wrong"})


@pytest.fixture
def server():
    """A server that can only say that it is not ready; yields its target."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_error(503)

        def log_message(self, *_):
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield S3Target(f"127.0.0.1:{running.server_port}", "root", "secret-of-root", "b-1", secure=False)
        running.shutdown()


DEEDS = {
    "versions": lambda target: ObjectStore(target).keep_versions(),
    "publisher": lambda target: _add_publisher(target, "publisher", "secret-of-publisher"),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_a_server_that_goes_away_or_is_not_ready_is_waited_for(server, deed):
    (port,) = free_ports(1)
    for target in (server, replace(server, endpoint=f"127.0.0.1:{port}")):
        with pytest.raises(Unavailable):
            DEEDS[deed](target)


def test_versions_are_not_for_the_publisher_to_choose(publisher):
    with pytest.raises(BadConfig, match="refuses access key 'publisher'"):
        ObjectStore(publisher).keep_versions()


def test_nothing_is_done_without_the_publishers_keys(minio):
    with pytest.raises(BadConfig, match="PUBLISHER_SECRET_KEY must be set"):
        main({"CONTIMG_S3_URL": minio.url, "CONTIMG_S3_ACCESS_KEY": "a", "CONTIMG_S3_SECRET_KEY": "b"})
