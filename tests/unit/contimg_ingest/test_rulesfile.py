from __future__ import annotations

import pytest

from contimg.limits import ProtocolLimits
from contimg.models.survey import FileSetRules
from contimg_ingest.rulesfile import RulesFile


def test_without_a_file_the_instrument_and_the_protocol_decide(tmp_path):
    rules = RulesFile(tmp_path / "rules.json")
    assert rules.read() == ""
    assert rules.of("dsa110") == FileSetRules()
    assert (rules.of("dsa110").expect, rules.of("dsa110").min) == (None, None)
    assert rules.of("dsa110").deadline_s == ProtocolLimits().seal_after_s


def test_rules_are_by_instrument_and_follow_the_file(tmp_path):
    path = tmp_path / "rules.json"
    rules = RulesFile(path)
    path.write_text('{"dsa110": {"expect": 16, "min": 15, "deadline": "5min"}}')
    assert rules.read() == ""
    assert (rules.of("dsa110").min, rules.of("dsa110").deadline_s) == (15, 300.0)
    assert rules.of("vla") == FileSetRules()
    path.write_text('{"vla": {"deadline": 1}}')
    rules.read()
    assert rules.of("dsa110") == FileSetRules()
    path.unlink()
    rules.read()
    assert rules.of("vla") == FileSetRules()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"dsa110": {"min": 0}}', '{"dsa110": {"colour": 1}}'])
def test_a_wrong_file_is_told_and_changes_no_rule(tmp_path, text):
    path = tmp_path / "rules.json"
    rules = RulesFile(path)
    path.write_text('{"dsa110": {"min": 3}}')
    rules.read()
    path.write_text(text)
    assert rules.read().startswith(f"{path} cannot be used (")
    assert rules.of("dsa110").min == 3


def test_a_directory_in_its_place_is_told(tmp_path):
    assert "cannot be used (Is a directory)" in RulesFile(tmp_path).read()
