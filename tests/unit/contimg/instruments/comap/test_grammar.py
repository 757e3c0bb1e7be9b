from __future__ import annotations

from pathlib import Path

import pytest

from contimg.errors import BadConfig
from contimg.instruments.comap.grammar import parse_call, read_parameters


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("a.B(feeds=[1, 3, 4])", {"feeds": [1, 3, 4]}),
        ("a.B(x='p=q')", {"x": "p=q"}),
        ("a.B(x='f(y)')", {"x": "f(y)"}),
        ("a.B(s='a, b')", {"s": "a, b"}),
        ("a.B(x=None, y=1.5, z=True, w=true)", {"x": None, "y": 1.5, "z": True, "w": True}),
        ("a.B(x={'a': 1})", {"x": {"a": 1}}),
        ("a.B(n=1e-2)", {"n": 0.01}),
        ("a.B(n=-3)", {"n": -3}),
        ("a.B()", {}),
        ("a.B( x = 1, )", {"x": 1}),
        ('a.B(source=["Field12"], band=7)', {"source": ["Field12"], "band": 7}),
    ],
)
def test_t31_all_forms_in_use(text, args):
    assert parse_call(text, "f:1") == ("a.B", args)


@pytest.mark.parametrize(
    "text",
    [
        "a.B(x=__import__('os').system('true'))",
        "a.B(x=open)",
        "a.B(x=[y for y in (1,)])",
        "a.B(**{'x': 1})",
        "a.B(1)",
        "a.B",
        "a.B(x=1, x=2)",
        "a().B(x=1)",
        "a.B(x=" + "(" * 500 + ")" * 500 + ")",
        "a.B(x='" + "y" * 30000 + "')",
        "",
    ],
    ids=range(11),
)
def test_code_is_never_run_and_no_literal(text):
    with pytest.raises(BadConfig, match=r"f:1: .* cannot be read \(.*write package.Class"):
        parse_call(text, "f:1")


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "x.toml"
        path.write_text(text)
        return path

    return write


def test_the_call_wins_over_the_table_with_a_warning(file):
    path = file('[Master]\npipeline = ["m.P.A.A(x=1)", "m.Q.B.B()"]\n[m.P.A.A]\nx = 2\ny = 3\n')
    config = read_parameters(path)
    one, other = config.entries()
    assert (one.name, one.args, other.args) == ("A", {"x": 1, "y": 3}, {})
    assert config.warnings == [f"{path}:2: x = 1 of the call wins over 2 of table [m.P.A.A]"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = ", "is no TOML"),
        ("x = 1", r"has no table \[Master\]"),
    ],
)
def test_files_that_cannot_be_used(file, text, words):
    with pytest.raises(BadConfig, match=words):
        read_parameters(file(text))
    with pytest.raises(BadConfig, match=r"^none.toml cannot be read \(No such file or directory\); name a"):
        read_parameters(Path("none.toml"))
    with pytest.raises(BadConfig, match="has no list of texts 'pipeline'"):
        read_parameters(file("[Master]\npipeline = [1]")).entries()
    with pytest.raises(BadConfig, match="cannot be read"):
        read_parameters(file("").with_name("none.toml"))
