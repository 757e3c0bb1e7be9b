"""Values: closed, described, with a default each; what is wrong is told with its cure."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from chart import helm, rendered
from chart_files import CHART

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())

BAD = {
    "a typo": ("volumes: {stagging: {size: 1Gi}}", "additional properties 'stagging' not allowed"),
    "a typo deep inside": ("nats: {storage: {clas: fast}}", "additional properties 'clas' not allowed"),
    "a typo in a limit": ("limits: {stall_after: 10}", "additional properties 'stall_after' not allowed"),
    "a stage that is not installed": ("stages: {imagee: {replicas: 1}}", "additional properties 'imagee' not allowed"),
    "a stage without an image": ("stages: {level2: {replicas: 1}}", "additional properties 'level2' not allowed"),
    "a grace that no process would keep": (
        "stages: {image: {terminationGracePeriodSeconds: 20}}",
        "additional properties 'terminationGracePeriodSeconds' not allowed",
    ),
    "a number as text": ("stages: {image: {replicas: two}}", "got string, want integer"),
    "a negative limit": ("limits: {tries: -1}", "exclusiveMinimum"),
    "a scale above one": ("timeScale: 2", "maximum: got 2, want 1"),
    "two servers": ("nats: {replicas: 2}", "value must be one of 1, 3"),
    "a size without a unit": ("volumes: {state: {size: 10 GB}}", "/volumes/state/size"),
    "a level that is none": ("logLevel: verbose", "value must be one of"),
    "a relative path": ("volumes: {state: {local: {node: n, path: srv/x}}}", "/volumes/state/local/path"),
    "a shard that is no name": ("shard: Main_1", "/shard"),
    "a digest that is none": ("image: {digests: {convert: latest}}", "/image/digests/convert"),
    "the latest image": ("image: {tag: latest}", "image.tag: `latest` does not say what runs"),
    "no place for a volume": (
        "volumes: {state: {local: null}}",
        "volumes.state: give exactly one of existingClaim, storageClass",
    ),
    "two places for a volume": (
        "volumes: {state: {storageClass: fast}}",
        "volumes.state: give exactly one.*storageClass and local are given",
    ),
    "one directory for two volumes": (
        "volumes: {state: {local: {node: node1, path: /srv/contimg/staging/}}}",
        "node1:/srv/contimg/staging is also volumes.sta",
    ),
    "a bus too small": (
        "nats: {storage: {size: 2Gi}}",
        "2Gi is too small for three streams of 1073741824 bytes.*at least 33",
    ),
    "streams too large": (
        "limits: {stream_bytes: 8589934592}",
        "4Gi is too small for three streams of 8589934592 bytes",
    ),
    "copies of streams given twice": ("limits: {replicas: 3}", "limits.replicas: .*give nats.replicas instead"),
    "three servers in one directory": ("nats: {replicas: 3}", "three replicas need a class"),
    "no bus": ("nats: {enabled: false}", "nats.external: give url and existingSecret"),
    "a bus without its users": (
        "nats: {enabled: false, external: {url: 'nats://n:4222'}}",
        "nats.external: give url and existingSecret",
    ),
    "two stores": ("store: {external: {url: 'https://s3'}}", "it excludes store.minio.enabled"),
    "a store without its keys": (
        "store: {minio: {enabled: false}, external: {url: 'https://s3'}}",
        "store.external.existingSecret: name the Secret",
    ),
    "encryption that nobody trusts": ("nats: {tls: {existingSecret: t}}", "ca: nats.tls needs the certificates"),
    "a store that nobody trusts": (
        "store: {minio: {tls: {existingSecret: t}}}",
        "ca: store.minio.tls needs the certificates",
    ),
    "certificates twice": (
        "ca: {pem: '-----BEGIN CERTIFICATE-----', existingConfigMap: c}",
        "ca: give pem or existingConfigMap, not both",
    ),
    "a key for a certificate": ("ca: {pem: secret}", "ca.pem: it holds no certificate"),
    "scaling without the chart's bus": (
        (
            "{nats: {enabled: false, external: {url: 'nats://n:4222', existingSecret: s}},"
            " stages: {image: {keda: {enabled: true}}}}"
        ),
        "stages.image.keda: KEDA reads the queue from the chart's NATS",
    ),
}


@pytest.mark.parametrize("mistake", BAD)
def test_a_mistake_is_refused_with_words(wrong, mistake):
    values, expected = BAD[mistake]
    assert re.search(expected, wrong(values)), wrong(values)


def test_all_mistakes_are_told_at_once(wrong):
    told = wrong("{image: {tag: latest}, volumes: {state: {local: null}}, nats: {storage: {size: 1Mi}}}")
    assert told.count("\n  - ") == 3


def test_a_long_release_name_is_refused():
    done = helm("template", "a" * 31, str(CHART), "-f", str(CHART / "ci/local.yaml"))
    assert "longer than 30 characters" in done.stderr


def test_without_values_every_volume_is_asked_for():
    done = helm("template", "contimg", str(CHART))
    for name in (
        "volumes.staging",
        "volumes.data",
        "volumes.state",
        "volumes.incoming",
        "nats.storage",
        "store.minio.storage",
    ):
        assert f"{name}: give exactly one" in done.stderr


def resolved(schema):
    reference = schema.get("$ref", "")
    return (
        SCHEMA["$defs"][reference.rpartition("/")[2]] | {k: v for k, v in schema.items() if k != "$ref"}
        if reference
        else schema
    )


def leaves(schema, path=()):
    yield path, schema
    for name, inner in resolved(schema).get("properties", {}).items():
        yield from leaves(resolved(inner), (*path, name))


def test_every_value_is_described_and_every_object_closed():
    for path, schema in leaves(SCHEMA):
        assert schema.get("description"), path
        if schema.get("type") == "object" and path not in {("nodeSelector",), ("global",)}:
            assert "additionalProperties" in schema, path


def test_every_default_has_a_place_in_the_schema():
    def check(value, schema, path=()):
        if isinstance(value, dict) and "properties" in resolved(schema):
            for name, inner in value.items():
                assert name in resolved(schema)["properties"], (*path, name)
                check(inner, resolved(schema)["properties"][name], (*path, name))

    check(VALUES, SCHEMA)


def test_defaults_hold_no_secret_and_no_foreign_address():
    text = (CHART / "values.yaml").read_text()
    assert "password" not in text.lower()
    assert "://" not in text


def test_lint_finds_nothing():
    for path in sorted((CHART / "ci").glob("*.yaml")):
        done = helm("lint", "--strict", str(CHART), "-f", str(path))
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_same_values_give_the_same_objects():
    objects = rendered("locked-down")
    rendered.cache_clear()
    assert rendered("locked-down") == objects
