"""PROV-JSON: every product leads back to the raw files, and the document obeys the data model's shape."""

import json

from skies import manifest

from contimg.models.manifest import InputRef, Product
from contimg.provenance import prov_document

RAW, MS, IMAGE, MOSAIC, CATALOG = (letter * 64 for letter in "12345")


def product(type_, sha):
    return Product(type=type_, id=type_, path=f"{type_}.x", sha256=sha, bytes=7)


def chain():
    convert = manifest("a" * 32, "convert", [product("raw_ms", MS)], raw=("f_sb00.hdf5",), raw_digest=RAW)
    image = manifest(
        "b" * 32, "image", [product("image", IMAGE)], inputs=(InputRef(task="a" * 32, home="raw_ms", sha256="9" * 64),)
    )
    mosaic = manifest(
        "c" * 32,
        "mosaic",
        [product("mosaic", MOSAIC)],
        inputs=(InputRef(task="b" * 32, home="image", sha256="8" * 64),),
        reference={"catalog:nvss.csv": CATALOG},
        software={"numpy": "2.4.0"},
    )
    return [convert, image, mosaic]


def ancestors(document, entity):
    found, todo = set(), [entity]
    while todo:
        current = todo.pop()
        for made in document["wasGeneratedBy"].values():
            if made["prov:entity"] == current:
                for used in document["used"].values():
                    if used["prov:activity"] == made["prov:activity"] and used["prov:entity"] not in found:
                        found.add(used["prov:entity"])
                        todo.append(used["prov:entity"])
    return found


def test_mosaic_leads_back_to_raw_files_and_reference_data():
    document = prov_document(chain())
    assert ancestors(document, f"sha256:{MOSAIC}") == {f"sha256:{x}" for x in (IMAGE, MS, RAW, CATALOG)}
    assert json.loads(document["entity"][f"sha256:{RAW}"]["contimg:files"]) == ["f_sb00.hdf5"]


def test_every_relation_names_things_that_are_in_the_document():
    document = prov_document(chain())
    kinds = {"prov:entity": "entity", "prov:activity": "activity", "prov:agent": "agent"}
    for relation in ("used", "wasGeneratedBy", "wasAssociatedWith"):
        assert document[relation]
        for ends in document[relation].values():
            assert all(name in document[kinds[role]] for role, name in ends.items())


def test_every_name_has_a_declared_prefix():
    document = prov_document(chain())
    for group in ("entity", "activity", "agent"):
        for name, attributes in document[group].items():
            assert {key.split(":")[0] for key in (name, *attributes)} <= set(document["prefix"])


def test_unknown_input_appears_by_the_checksum_over_its_products():
    document = prov_document(chain()[1:])
    assert ancestors(document, f"sha256:{IMAGE}") == {"sha256:" + "9" * 64}


def test_order_of_the_manifests_does_not_matter():
    shuffled = [*reversed(chain()), *chain()]
    assert prov_document(shuffled) == prov_document(chain())


def test_agents_are_versions_of_software():
    document = prov_document(chain())
    assert {"software:contimg-0.1.0", "software:numpy-2.4.0"} == set(document["agent"])
    assert {a["prov:type"] for a in document["agent"].values()} == {"prov:SoftwareAgent"}
