"""Provenance: manifests rendered as W3C PROV in its JSON form (PROV-JSON, member submission of 2013-04-24).

A product is an entity named by its checksum, a task an activity, a version of software an agent. Nothing is
stored for this: the manifests are the truth.
"""

from __future__ import annotations

import json
from typing import Any

from contimg.models.manifest import InputRef, Manifest

__all__ = ["prov_document"]

PREFIX = {
    "prov": "http://www.w3.org/ns/prov#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "sha256": "urn:sha256:",
    "task": "urn:contimg:task:",
    "software": "urn:contimg:software:",
    "contimg": "urn:contimg:",
}


def _entities(manifest: Manifest) -> dict[str, dict[str, Any]]:
    made = {
        f"sha256:{product.sha256}": {
            "prov:label": product.id,
            "contimg:type": product.type,
            "contimg:role": product.role,
            "contimg:path": product.path,
            "contimg:bytes": product.bytes,
        }
        for product in manifest.products
        if product.sha256
    }
    if manifest.raw_digest:
        made[f"sha256:{manifest.raw_digest}"] = {
            "prov:label": f"raw files of {manifest.unit}",
            "contimg:type": "raw",
            "contimg:files": json.dumps(list(manifest.raw)),
        }
    for name, checksum in sorted(manifest.reference.items()):
        made[f"sha256:{checksum}"] = {"prov:label": name, "contimg:type": "reference"}
    return made


def _activity(manifest: Manifest) -> dict[str, Any]:
    return {
        "prov:type": "contimg:task",
        "prov:label": f"{manifest.stage} {manifest.unit}",
        "prov:startTime": manifest.started.isoformat(),
        "prov:endTime": manifest.finished.isoformat(),
        "contimg:stage": manifest.stage,
        "contimg:recipe_version": manifest.recipe_version,
        "contimg:params": json.dumps(manifest.params, sort_keys=True),
        "contimg:verdict": manifest.verdict.value,
        "contimg:host": manifest.host,
        "contimg:attempt": manifest.attempt,
    }


def _agents(manifest: Manifest) -> dict[str, dict[str, Any]]:
    versions = {"contimg": manifest.version} | manifest.software
    return {
        f"software:{name}-{version}": {"prov:type": "prov:SoftwareAgent", "prov:label": f"{name} {version}"}
        for name, version in sorted(versions.items())
    }


def _used(manifest: Manifest, known: dict[str, Manifest]) -> list[str]:
    """Return the entities a task read: the products of its inputs, raw files, reference data."""
    read: list[str] = []
    for item in manifest.inputs:
        read += _products_of(item, known)
    read += [f"sha256:{manifest.raw_digest}"] if manifest.raw_digest else []
    read += [f"sha256:{checksum}" for _, checksum in sorted(manifest.reference.items())]
    return list(dict.fromkeys(read))


def _products_of(item: InputRef, known: dict[str, Manifest]) -> list[str]:
    source = known.get(item.task)
    products = [] if source is None else [p for p in source.products if p.type == item.home and p.sha256]
    return [f"sha256:{p.sha256}" for p in products] or [f"sha256:{item.sha256}"]


def prov_document(manifests: list[Manifest]) -> dict[str, Any]:
    """Return the PROV-JSON document of some runs.

    Parameters
    ----------
    manifests
        In any order; an input whose manifest is missing appears as one entity, named by the checksum over its
        products.

    Returns
    -------
    dict
        ``prefix, entity, activity, agent, used, wasGeneratedBy, wasAssociatedWith``; the same manifests give the
        same document.
    """
    ordered = sorted({m.task: m for m in manifests}.values(), key=lambda m: (m.started, m.task))
    known = {m.task: m for m in ordered}
    document: dict[str, Any] = {"prefix": PREFIX}
    groups = ("entity", "activity", "agent", "used", "wasGeneratedBy", "wasAssociatedWith")
    document |= {name: {} for name in groups}
    for manifest in ordered:
        task = f"task:{manifest.task}"
        document["activity"][task] = _activity(manifest)
        agents = _agents(manifest)
        document["agent"] |= agents
        document["entity"] = _entities(manifest) | document["entity"]
        for entity in _used(manifest, known):
            document["entity"].setdefault(entity, {"contimg:type": "run"})
            _relate(document["used"], "u", {"prov:activity": task, "prov:entity": entity})
        for product in manifest.products:
            generated = {"prov:entity": f"sha256:{product.sha256}", "prov:activity": task}
            if product.sha256:
                _relate(document["wasGeneratedBy"], "g", generated)
        for agent in agents:
            _relate(document["wasAssociatedWith"], "a", {"prov:activity": task, "prov:agent": agent})
    return document


def _relate(relations: dict[str, Any], letter: str, relation: dict[str, str]) -> None:
    relations[f"_:{letter}{len(relations) + 1}"] = relation
