"""What commit, names, disk and the counting of tries keep, whatever is thrown at them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_stages import layout_in, toy_task

from contimg.errors import BadInput, ContimgError, DataQuality, Terminal
from contimg.limits import ProtocolLimits
from contimg.models.attempts import backoff_s
from contimg.models.manifest import Manifest, Product, Usage
from contimg.models.quality import judge
from contimg.stage import ProductDraft, Run, StageContext, StageResult
from contimg.volume.attempt import open_attempt
from contimg.volume.commit import Reply, _is_inside, commit, read_run
from contimg.volume.disk import checksum, remove, seal, write
from contimg.volume.names import name_products
from contimg.worker.reply import Unforeseen, read_reply

LIMITS = ProtocolLimits()
TASK = toy_task()
words = st.text("abcdefgh", min_size=1, max_size=4)
files = st.dictionaries(
    st.lists(words, min_size=1, max_size=3).map(lambda parts: "/".join([*parts[:-1], parts[-1] + ".f"])),
    st.binary(max_size=20),
    max_size=6,
)


def plant(root, tree, order):
    names = sorted(tree)
    order.shuffle(names)
    root.mkdir()
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(tree[name])
    return root


@settings(max_examples=20, deadline=None)
@given(files, st.randoms(use_true_random=False), st.randoms(use_true_random=False))
def test_the_checksum_of_a_tree_does_not_depend_on_the_order_of_writing(tree, one, other):
    with tempfile.TemporaryDirectory() as top:
        first, second = plant(Path(top) / "a", tree, one), plant(Path(top) / "b", tree, other)
        assert checksum(first) == checksum(second)
        lines = "".join(f"{hashlib.sha256(tree[n]).hexdigest()}  {n}\n" for n in sorted(tree, key=Path))
        assert checksum(first) == (sum(map(len, tree.values())), hashlib.sha256(lines.encode()).hexdigest())


@settings(max_examples=30, deadline=None)
@given(files.filter(bool), st.randoms(use_true_random=False), st.data())
def test_the_checksum_of_a_tree_sees_any_change_of_content_or_name(tree, order, data):
    with tempfile.TemporaryDirectory() as top:
        root = plant(Path(top) / "a", tree, order)
        before = checksum(root)
        path = root / data.draw(st.sampled_from(sorted(tree)))
        if data.draw(st.booleans()):
            path.write_bytes(path.read_bytes() + b"x")
            assert checksum(root)[0] == before[0] + 1
        else:
            path.rename(path.with_name("other"))
            assert checksum(root)[0] == before[0]
        assert checksum(root)[1] != before[1]


@settings(max_examples=20, deadline=None)
@given(files, st.randoms(use_true_random=False))
def test_a_tree_made_read_only_keeps_its_checksum_and_can_be_removed(tree, order):
    with tempfile.TemporaryDirectory() as top:
        root = plant(Path(top) / "a", tree, order)
        before = checksum(root)
        seal(root)
        assert checksum(root) == before
        assert not any(path.stat().st_mode & 0o222 for path in [root, *root.rglob("*")])
        remove(root)
        assert not list(Path(top).iterdir())


@settings(max_examples=8, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_the_last_durable_text_stands_alone(texts):
    texts = [text.replace("\r", "").encode("utf-8", "ignore").decode() for text in texts]
    with tempfile.TemporaryDirectory() as top:
        for text in texts:
            write(Path(top) / "x", text)
        assert [(path.name, path.read_text()) for path in Path(top).iterdir()] == [("x", texts[-1])]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 400))
def test_the_wait_is_bounded_and_its_floor_never_falls(failed):
    wait = backoff_s(failed, LIMITS)
    assert LIMITS.retry_base_s <= wait <= LIMITS.retry_cap_s * (1 + LIMITS.retry_jitter)
    still = ProtocolLimits(retry_jitter=0.0)
    assert backoff_s(failed, still) <= backoff_s(failed + 1, still) <= still.retry_cap_s


@pytest.mark.parametrize("path", ["", ".", "./", "..", "../x", "a/../..", "a/..", "/", "/a", "//a"])
def test_a_path_that_leads_outside_or_nowhere_is_no_product(path):
    assert not _is_inside(path)


@settings(max_examples=60, deadline=None)
@given(st.lists(words | st.just(".."), min_size=1, max_size=5), st.booleans())
def test_whatever_is_let_in_stays_in(parts, absolute):
    path = ("/" if absolute else "") + "/".join(parts)
    if _is_inside(path):
        assert os.path.normpath(f"/run/{path}").startswith("/run/")


def attempted(layout, write):
    attempt = open_attempt(layout, "toying", TASK, 0)
    write(attempt.path)
    return attempt


def out_file(directory):
    (directory / "x").symlink_to("/etc/hostname")


def out_tree(directory):
    (directory / "x").mkdir()
    (directory / "x" / "table").symlink_to("../../elsewhere")


def out_directory(directory):
    (directory / "x").symlink_to("/etc")


def out_deep(directory):
    (directory / "x" / "deep").mkdir(parents=True)
    (directory / "x" / "deep" / "link").symlink_to("/")


@pytest.mark.parametrize("write", [out_file, out_tree, out_directory, out_deep])
def test_a_product_must_not_lean_on_what_is_not_committed(layout, write):
    made = Reply(StageResult((ProductDraft("image", "p", "x"),)))
    attempt = attempted(layout, write)
    with pytest.raises(Terminal, match=r"product 'p' holds the link 'x.*', which leads outside; mend the stage"):
        commit(layout, attempt, TASK, made, Usage())
    assert read_run(layout, "image", TASK.task) is None


def test_a_link_inside_a_product_is_part_of_it(layout):
    def write(directory):
        (directory / "x").mkdir()
        (directory / "x" / "a").write_text("one")
        (directory / "x" / "b").symlink_to("a")

    run = commit(
        layout, attempted(layout, write), TASK, Reply(StageResult((ProductDraft("image", "p", "x"),))), Usage()
    )
    assert (run.path / "x" / "b").read_text() == "one"


@settings(max_examples=3, deadline=None)
@given(st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=8))
def test_names_lead_to_the_run_named_last_after_any_sequence(sequence):
    drafts = (ProductDraft("image", "f", "file", ("d/f.fits",)), ProductDraft("catalog", "c", "file", ("d/c.fits",)))
    with tempfile.TemporaryDirectory() as top:
        layout = layout_in(Path(top))
        runs = {}
        for text in dict.fromkeys(sequence):
            task = toy_task(text=text)
            attempt = open_attempt(layout, "toying", task, 0)
            (attempt.path / "file").write_text(text)
            runs[text] = commit(layout, attempt, task, Reply(StageResult(drafts)), Usage())
        for text in sequence:
            name_products(layout, runs[text])
            for home, name in (("image", "f.fits"), ("catalog", "c.fits")):
                directory = layout.home(home) / "d"
                assert (directory / name).read_text() == text
                assert [path.name for path in directory.iterdir()] == [name], "no temporary is left"
        for text, run in runs.items():
            assert (run.path / "file").read_text() == text, "naming changes no run"
        remove(layout.stage_base)


def answer(**changes):
    result = {
        "products": [{"type": "image", "id": "i", "path": "x", "names": ["d/x"], "role": ""}],
        "figures": [judge("toy.a", 1.0).model_dump(mode="json")],
        "info": {"a": 1},
        "date": "",
    }
    return {"reply": {"result": result, "inputs": [], "raw": ["r"], "software": {"numpy": "2"}}} | changes


def test_an_answer_of_a_child_is_what_its_stage_made():
    made = read_reply(answer())
    assert made.result.products == (ProductDraft("image", "i", "x", ("d/x",)),)
    assert made.result.figures == (judge("toy.a", 1.0),)
    assert (made.raw, made.software, made.result.info) == (("r",), {"numpy": "2"}, {"a": 1})


@pytest.mark.parametrize("error", [BadInput, DataQuality, Terminal])
def test_errors_of_a_stage_keep_their_class_and_words(error):
    with pytest.raises(error, match="x is bad; mend it") as caught:
        read_reply({"error": error.__name__, "message": "x is bad; mend it", "foreseen": True})
    assert type(caught.value) is error


def test_what_nobody_foresaw_is_no_error_of_ours():
    with pytest.raises(Unforeseen, match="ZeroDivisionError") as caught:
        read_reply({"error": "ZeroDivisionError", "message": "ZeroDivisionError: x", "foreseen": False})
    assert not isinstance(caught.value, ContimgError)
    with pytest.raises(Terminal):
        read_reply({"error": "ErrorOfTheFuture", "message": "", "foreseen": True})


def run_with(*roles):
    manifest = Manifest(
        task=TASK.task, stage="toy", recipe_version=1, version="0", unit="u", group="g", date="2026-01-25", params={},
        products=tuple(Product(type="image", id=f"i{n}", path=f"p{n}", role=role) for n, role in enumerate(roles)),
        attempt=1, host="h", started="2026-01-25T22:00:13Z", finished="2026-01-25T22:00:13Z",
    )  # fmt: skip
    return Run(Path("/runs"), manifest)


def test_a_product_is_found_by_type_and_role():
    run = run_with("", "psf", "psf")
    assert run.product("image") == Path("/runs/p0")
    assert run.products("image", "psf") == [Path("/runs/p1"), Path("/runs/p2")]
    assert run.find("image", "psf").id == "i1"
    assert run.find("mosaic") is None


@pytest.mark.parametrize(("type_", "role", "count"), [("image", "psf", 2), ("image", "pb", 0), ("mosaic", "", 0)])
def test_one_product_means_one(type_, role, count):
    with pytest.raises(BadInput, match=f"run {TASK.task} of stage toy has {count} products {type_}/{role}, not 1"):
        run_with("", "psf", "psf").product(type_, role)


@pytest.mark.parametrize("count", [0, 2])
def test_one_input_means_one(tmp_path, count):
    context = StageContext(
        unit="u", group="g", date="2026-01-25", params=None, workdir=tmp_path, inputs={"image": [run_with("")] * count}
    )
    with pytest.raises(BadInput, match=f"unit u has {count} inputs of type image, needs exactly 1"):
        context.run("image")
    assert context.runs("mosaic") == []
