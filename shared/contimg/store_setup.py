"""Set up the object store of a release: ``python -m contimg.store_setup``; doing it again changes nothing.

Makes the bucket of ``CONTIMG_S3_URL``, keeps versions of what is overwritten, and adds the publisher: a user of MinIO
who can write and read products, and neither delete anything nor make buckets. The keys of ``CONTIMG_S3_*`` are those of
MinIO's root; the publisher's are ``PUBLISHER_ACCESS_KEY`` and ``PUBLISHER_SECRET_KEY``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import structlog
import tenacity
import urllib3
from minio import MinioAdmin
from minio.credentials import StaticProvider
from minio.error import MinioAdminException

from contimg.errors import BadConfig, ContimgError, Unavailable
from contimg.objectstore import ObjectStore, S3Target
from contimg.telemetry import configure_logging

__all__ = ["POLICY", "policy", "set_up"]

POLICY = "contimg-publisher"
"""Name of the publisher's policy."""
_log = structlog.get_logger(__name__)


def policy(bucket: str) -> dict[str, Any]:
    """Return what the publisher may do, as MinIO and S3 write policies.

    To see whether an object is there, and to upload in parts, needs the right to list.
    """
    inside = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    whole = ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"]
    statements = [(whole, f"arn:aws:s3:::{bucket}"), (inside, f"arn:aws:s3:::{bucket}/*")]
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": actions, "Resource": [where]} for actions, where in statements],
    }


def set_up(target: S3Target, publisher: str, secret: str) -> None:
    """Make bucket, versioning and publisher.

    Parameters
    ----------
    target
        The bucket, with the keys of MinIO's root.
    publisher, secret
        Keys of the user to be; the secret of one who is there is replaced.

    Raises
    ------
    Unavailable
        If no server answers yet.
    BadConfig
        If the root's keys are refused.
    """
    store = ObjectStore(target)
    store.prepare()
    store.keep_versions()
    _add_publisher(target, publisher, secret)


def _add_publisher(target: S3Target, publisher: str, secret: str) -> None:
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(10.0), ca_certs=target.ca or None)
    admin = MinioAdmin(
        endpoint=target.endpoint,
        credentials=StaticProvider(target.access_key, target.secret_key),
        secure=target.secure,
        region=target.region,
        http_client=pool,
    )
    try:
        admin.policy_add(POLICY, policy=policy(target.bucket))
        admin.user_add(publisher, secret)
        admin.policy_set(POLICY, user=publisher)
    except urllib3.exceptions.HTTPError as error:
        raise Unavailable(f"no MinIO answers at {target.url} ({type(error).__name__}); start it") from error
    except MinioAdminException as error:
        if error._code.startswith("5"):  # noqa: SLF001 - it starts, or ends; only the text says it otherwise
            raise Unavailable(f"MinIO at {target.url} is not ready: {error}") from error
        raise BadConfig(f"{target.url} does not let {target.access_key!r} add a user: {error}") from error


def main(environment: Mapping[str, str]) -> None:
    """Set up what the environment says; wait for a server that is not up yet."""
    target = S3Target.from_environment(environment)
    keys = [environment.get(f"PUBLISHER_{kind}_KEY", "") for kind in ("ACCESS", "SECRET")]
    if target is None or not all(keys):
        raise BadConfig("CONTIMG_S3_URL, PUBLISHER_ACCESS_KEY and PUBLISHER_SECRET_KEY must be set")
    waiting = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Unavailable),
        wait=tenacity.wait_exponential(max=10.0),
        before_sleep=lambda state: _log.warning("waits for the object store", error=_why(state)),
    )
    waiting(set_up, target, *keys)
    _log.info("the object store is set up", url=target.url, publisher=keys[0])


def _why(state: tenacity.RetryCallState) -> str:
    return str(state.outcome.exception()) if state.outcome else ""


if __name__ == "__main__":
    configure_logging()
    try:
        main(os.environ)
    except ContimgError as error:
        _log.error(str(error), error=type(error).__name__)
        sys.exit(error.exit_code)
