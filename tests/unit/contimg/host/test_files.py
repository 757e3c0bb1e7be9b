"""The user's files as resources: followed while they are edited, removed, and formed by a survey."""

from __future__ import annotations

import asyncio

import pytest

from contimg.engine.groups import LABEL
from contimg.errors import BadConfig
from contimg.host import files
from contimg.host.files import FileResources
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.reason import Phase
from contimg.models.survey import SurveyStatus
from contimg.volume.layout import Layout

GROUP = """\
apiVersion: contimg.dsa110.org/v1alpha1
kind: ObservationGroup
metadata: {{name: {name}}}
spec:
  pipeline: dsa110-continuum
  observations: {{start: 2026-01-25T22:26:00Z, count: {count}}}
"""
SURVEY = """\
kind: Survey
metadata: {name: night}
spec: {pipeline: dsa110-continuum}
"""


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "stage", tmp_path / "data")


@pytest.fixture
def write(tmp_path):
    def put(name, count=3, file=""):
        path = tmp_path / f"{file or name}.yaml"
        path.write_text(GROUP.format(name=name, count=count))
        return path

    return put


def listed(resources):
    return {item.name: item for item in asyncio.run(resources.list())}


async def changes(resources, *edits):
    """Make edits one after the other; return the changes told of after each."""
    told, found = [], asyncio.Queue()

    async def follow():
        async for change in resources.watch():
            found.put_nowait(change)

    following = asyncio.create_task(follow())
    for edit in edits:
        await asyncio.sleep(3 * files.POLL_S)
        edit()
        told.append((await asyncio.wait_for(found.get(), 10)).name)
    following.cancel()
    return told


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(files, "POLL_S", 0.02)


def test_groups_of_several_files_with_their_status(layout, write):
    resources = FileResources(layout, [write("a"), write("b")])
    resources.store.put_status(listed(resources)["a"], layout.state / "x", status(Phase.RUNNING))
    found = listed(resources)
    assert set(found) == {"a", "b"}
    assert found["a"].status.phase == "Running"
    assert found["b"].status is None


def status(phase):
    return GroupStatus(observed_generation=1, phase=phase)


def test_an_edit_is_seen_with_a_higher_generation(layout, write):
    resources = FileResources(layout, [write("a")])
    told = asyncio.run(changes(resources, lambda: write("a", count=5)))
    assert told == ["a"]
    group = listed(resources)["a"]
    assert (group.spec.observations.count, group.metadata.generation) == (5, 2)


def test_a_file_that_is_removed_takes_its_group_along_and_may_come_back(layout, write):
    path = write("a")
    resources = FileResources(layout, [path, write("b")])
    assert asyncio.run(changes(resources, path.unlink, lambda: write("a"))) == ["a", "a"]
    assert resources.groups() == ["b", "a"]


def test_a_mistake_in_an_edit_is_told_and_the_old_wish_stands(layout, write):
    told = []
    path = write("a")
    resources = FileResources(layout, [path, write("b")], told.append)

    async def play():
        return await changes(
            resources,
            lambda: (path.write_text(path.read_text() + "  suspnd: true\n"), write("b", count=4)),
        )

    assert asyncio.run(play()) == ["b"]
    assert listed(resources)["a"].spec.observations.count == 3
    assert len(told) == 1
    assert "field 'spec.suspnd' is unknown; did you mean 'suspend'" in told[0]


def test_an_editor_that_replaces_the_file_deletes_nothing(layout, write, tmp_path):
    """It removes and renames within a moment: what is told of is the edit."""
    path = write("a")
    resources = FileResources(layout, [path])

    def replaced():
        new = tmp_path / ".a.swp"
        new.write_text(GROUP.format(name="a", count=7))
        path.unlink()
        new.rename(path)

    assert asyncio.run(changes(resources, replaced)) == ["a"]
    assert listed(resources)["a"].metadata.generation == 2


def test_what_is_wrong_at_the_start_is_refused_in_words(layout, write, tmp_path):
    with pytest.raises(BadConfig, match="does not exist"):
        FileResources(layout, [tmp_path / "none.yaml"])
    with pytest.raises(BadConfig, match=r"ObservationGroup 'a' stands in .*/a.yaml too; keep one of them"):
        FileResources(layout, [write("a"), write("a", file="again")])


def test_a_directory_stands_for_every_file_in_it_and_one_that_is_broken_is_only_told_of(layout, write, tmp_path):
    told = []
    write("a")
    (tmp_path / "broken.yaml").write_text("kind: [")
    (tmp_path / "a.status.yaml").write_text("status: {}")
    resources = FileResources(layout, [tmp_path], told.append)
    assert resources.groups() == ["a"]
    assert "broken.yaml:1" in told[0]
    assert asyncio.run(changes(resources, lambda: write("b"))) == ["b"]


def test_unfinished_groups_of_earlier_runs_stand_by_and_are_not_touched(layout, write):
    earlier = FileResources(layout, [write("a"), write("done"), write("c")])
    for name, phase in (("a", Phase.RUNNING), ("done", Phase.PUBLISHED)):
        earlier.store.put_status(listed(earlier)[name], layout.state / "x", status(phase))
    resources = FileResources(layout, [write("c")])
    found = listed(resources)
    assert set(found) == {"a", "c"}
    assert (found["a"].spec.suspend, found["c"].spec.suspend) == (True, False)
    asyncio.run(resources.put_status(found["a"], status(Phase.SUSPENDED)))
    assert resources.store.status("a").phase == "Running"


def test_an_earlier_group_whose_record_is_damaged_stands_there_without_a_wish(layout, write):
    told = []
    FileResources(layout, [write("a")])
    (layout.state / "resources" / "a.json").write_text("{")
    found = listed(FileResources(layout, [write("b")], told.append))
    assert found["a"].spec.pipeline == "damaged-record", "no pipeline has this name: nothing is cleaned up meanwhile"
    assert "a.json is damaged" in told[0]


def test_a_formed_group_gets_a_file_of_its_own_that_may_be_edited(layout, write, tmp_path):
    (tmp_path / "night.yaml").write_text(SURVEY)
    resources = FileResources(layout, [tmp_path / "night.yaml"])
    assert resources.surveys() == ["night"]
    spec = {"pipeline": "dsa110-continuum", "observations": {"members": ["o1", "o2"]}}
    metadata = {"name": "night-20260125t222600z", "labels": {LABEL: "night"}}
    formed = ObservationGroup.model_validate({"metadata": metadata, "spec": spec})
    asyncio.run(resources.create(formed))
    asyncio.run(resources.create(formed))
    assert resources.groups() == ["night-20260125t222600z"]
    path = layout.state / "resources" / "night-20260125t222600z.yaml"
    path.write_text(path.read_text() + "  suspend: true\n")
    again = listed(FileResources(layout, [tmp_path / "night.yaml"]))["night-20260125t222600z"]
    assert again.spec.suspend
    assert again.metadata.labels == {LABEL: "night"}
    assert list(listed(FileResources(layout, [write("other")]))) == ["other", "night-20260125t222600z"]
    assert FileResources(layout, [path]).groups() == ["night-20260125t222600z"], "named, it is run without its survey"


def formed_group(name: str = "night-20260125t222600z") -> ObservationGroup:
    spec = {"pipeline": "dsa110-continuum", "observations": {"members": ["o1", "o2"]}}
    return ObservationGroup.model_validate({"metadata": {"name": name, "labels": {LABEL: "night"}}, "spec": spec})


def test_a_formed_group_whose_file_was_removed_is_no_group_of_its_survey_any_more(layout, tmp_path):
    (tmp_path / "night.yaml").write_text(SURVEY)
    resources = FileResources(layout, [tmp_path / "night.yaml"])
    asyncio.run(resources.create(formed_group()))
    (layout.state / "resources" / "night-20260125t222600z.yaml").unlink()
    resources._follow(resources._look())
    left = listed(resources)["night-20260125t222600z"]
    assert left.spec.suspend
    assert left.metadata.labels == {}


async def test_a_survey_that_comes_back_brings_the_groups_it_formed(layout, tmp_path, monkeypatch):
    monkeypatch.setattr("contimg.host.files.POLL_S", 0.01)
    source = tmp_path / "night.yaml"
    source.write_text(SURVEY)
    resources = FileResources(layout, [source])
    await resources.create(formed_group())
    changes = resources.watch()
    source.rename(tmp_path / "aside")
    assert (await asyncio.wait_for(anext(changes), 10)).name in {"night", "night-20260125t222600z"}
    while resources.surveys():
        await asyncio.wait_for(anext(changes), 10)
    (tmp_path / "aside").rename(source)
    told = {(await asyncio.wait_for(anext(changes), 10)).name for _ in range(2)}
    assert told >= {"night"}
    assert resources.groups() == ["night-20260125t222600z"]


def test_the_status_of_each_resource_stands_beside_its_file(layout, write, tmp_path):
    both = write("a").read_text() + "---\n" + SURVEY
    (tmp_path / "both.yaml").write_text(both)
    (tmp_path / "a.yaml").unlink()
    resources = FileResources(layout, [tmp_path / "both.yaml"])
    found = listed(resources)
    asyncio.run(resources.put_status(found["a"], status(Phase.RUNNING)))
    asyncio.run(resources.put_status(found["night"], SurveyStatus(observed_generation=1, phase=Phase.RUNNING)))
    assert {path.name for path in tmp_path.glob("*.status.yaml")} == {"a.status.yaml", "night.status.yaml"}
    assert listed(resources)["night"].status.phase == "Running"


# -- several documents in one file ------------------------------------------------------------------------------------


def documents(path, **counts):
    path.write_text("---\n".join(GROUP.format(name=name, count=count) for name, count in counts.items()))


def counted(resources):
    """Return name to (count, generation)."""
    return {name: (g.spec.observations.count, g.metadata.generation) for name, g in listed(resources).items()}


async def followed(resources, edit):
    """Make an edit and wait until it is seen; the changes are of no interest."""
    await changes(resources, edit)


def test_of_two_documents_the_edited_one_gets_a_new_generation(layout, tmp_path):
    path = tmp_path / "both.yaml"
    documents(path, a=3, b=3)
    resources = FileResources(layout, [path])
    assert counted(resources) == {"a": (3, 1), "b": (3, 1)}
    asyncio.run(followed(resources, lambda: documents(path, a=3, b=5)))
    assert counted(resources) == {"a": (3, 1), "b": (5, 2)}


def test_a_document_that_is_taken_out_or_put_in(layout, tmp_path):
    path = tmp_path / "both.yaml"
    documents(path, a=3, b=3)
    resources = FileResources(layout, [path])
    asyncio.run(followed(resources, lambda: documents(path, b=3)))
    assert resources.groups() == ["b"]
    asyncio.run(followed(resources, lambda: documents(path, b=3, c=4)))
    assert resources.groups() == ["b", "c"]
    assert listed(resources)["a"].spec.suspend, "an unfinished group stands by: its runs are spared"


def test_a_mistake_in_one_document_leaves_both_as_they_were(layout, tmp_path):
    told, path = [], tmp_path / "both.yaml"
    documents(path, a=3, b=3)
    resources = FileResources(layout, [path, tmp_path], told.append)
    text = path.read_text().replace("count: 3", "count: 4", 1).replace("count: 3", "count: many", 1)

    def edit():
        path.write_text(text)
        documents(tmp_path / "other.yaml", other=1)

    asyncio.run(followed(resources, edit))
    assert counted(resources) == {"a": (3, 1), "b": (3, 1), "other": (1, 1)}
    assert "both.yaml:13" in told[0]


def test_two_documents_of_one_name_are_refused(layout, tmp_path):
    path = tmp_path / "both.yaml"
    path.write_text(GROUP.format(name="a", count=3) + "---\n" + GROUP.format(name="a", count=4))
    with pytest.raises(BadConfig, match=r"both\.yaml.*'a'"):
        FileResources(layout, [path])


@pytest.mark.parametrize("names", [("one", "two"), ("two", "one")])
def test_a_group_that_is_moved_from_one_file_to_another_stays(layout, tmp_path, names):
    """In whatever order the two files are read."""
    old, new = (tmp_path / f"{name}.yaml" for name in names)
    documents(old, a=3, b=3)
    documents(new, c=3)
    resources = FileResources(layout, [tmp_path])
    asyncio.run(followed(resources, lambda: (documents(old, a=3), documents(new, c=3, b=3))))
    assert sorted(resources.groups()) == ["a", "b", "c"]
    assert counted(resources)["b"] == (3, 1)


def test_a_file_that_was_refused_counts_when_the_other_one_is_gone(layout, tmp_path):
    told = []
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    documents(first, a=3)
    resources = FileResources(layout, [tmp_path], told.append)

    def copied():
        documents(second, a=5)
        documents(tmp_path / "third.yaml", c=1)

    asyncio.run(followed(resources, copied))
    assert counted(resources) == {"a": (3, 1), "c": (1, 1)}
    assert "ObservationGroup 'a' stands in" in told[0]
    asyncio.run(followed(resources, first.unlink))
    assert counted(resources) == {"a": (5, 2), "c": (1, 1)}
