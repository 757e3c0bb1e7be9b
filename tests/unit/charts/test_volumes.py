"""Volumes: claims, classes, directories of a node; what is there is kept, and work goes where the data is."""

from __future__ import annotations

import re

from chart import find, pods, rendered

OF_THE_SHARD = ("staging", "data", "state", "incoming")


def test_a_directory_becomes_a_volume_that_is_kept_and_bound_to_its_node():
    objects = rendered()
    (storage_class,) = [item for item in objects if item["kind"] == "StorageClass"]
    assert storage_class["volumeBindingMode"] == "WaitForFirstConsumer"
    for name in (*OF_THE_SHARD, "bus", "store"):
        claim = find(objects, "PersistentVolumeClaim", f"contimg-{name}")
        volume = find(objects, "PersistentVolume", claim["spec"]["volumeName"])
        assert (
            claim["metadata"]["annotations"] == volume["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        )
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        assert volume["spec"]["claimRef"]["name"] == f"contimg-{name}"
        assert claim["spec"]["storageClassName"] == storage_class["metadata"]["name"]
        assert "node1" in str(volume["spec"]["nodeAffinity"])


def test_two_releases_that_name_one_directory_meet_in_one_volume():
    def names(release):
        return {item["metadata"]["name"] for item in rendered(release=release) if item["kind"] == "PersistentVolume"}

    assert names("contimg") == names("another")


def test_a_class_makes_a_claim_and_a_claim_that_is_there_nothing():
    claims = {item["metadata"]["name"]: item["spec"] for item in rendered("production") if "Claim" in item["kind"]}
    assert set(claims) == {"contimg-staging", "contimg-data", "contimg-state", "contimg-store"}
    assert claims["contimg-staging"]["storageClassName"] == "fast-ssd"
    assert not [item for item in rendered("external") if "Claim" in item["kind"]]


def test_incoming_is_read_only_for_everybody():
    for metadata, spec in pods(rendered()):
        for volume in spec["volumes"]:
            if volume["name"] == "incoming":
                assert volume["persistentVolumeClaim"]["readOnly"], metadata["name"]


def together(objects):
    return {
        metadata["labels"]["app.kubernetes.io/component"]
        for metadata, spec in pods(objects)
        if "podAffinity" in spec.get("affinity", {})
    }


def test_pods_of_a_shard_share_a_node_unless_every_volume_can_be_on_several():
    ours = together(rendered())
    assert {"keeper", "ingest", "convert", "publish", "test"} <= ours
    assert not ours & {"operator", "nats", "minio", "store-setup"}
    everywhere = [f"volumes.{name}.accessModes={{ReadWriteMany}}" for name in OF_THE_SHARD]
    assert not together(rendered("external", *everywhere))


def test_the_message_servers_have_a_volume_each_and_a_budget():
    objects = rendered("production")
    spec = find(objects, "StatefulSet", "contimg-nats")["spec"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert spec["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast-ssd"
    assert [item["metadata"]["name"] for item in objects if item["kind"] == "PodDisruptionBudget"] == ["contimg-nats"]


def test_nothing_hinders_the_drain_of_a_node_where_there_is_one_of_each():
    assert not [item for item in rendered() if item["kind"] == "PodDisruptionBudget"]


def test_secrets_and_records_outlive_the_release():
    secrets = [item for item in rendered() if item["kind"] == "Secret"]
    assert {item["metadata"]["name"] for item in secrets} == {"contimg-bus", "contimg-store"}
    assert all(item["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"} for item in secrets)
    assert not [item for item in rendered("locked-down") if item["kind"] == "Secret"]


def test_the_store_of_the_message_server_fits_its_volume():
    config = find(rendered(), "ConfigMap", "contimg-nats")["data"]["nats.conf"]
    assert int(re.search(r"max_file_store: (\d+)", config)[1]) == 4 * 2**30
