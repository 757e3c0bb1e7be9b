"""Parameter files as groups."""

from __future__ import annotations

import pytest

from contimg.cli.comap import init
from contimg.errors import BadConfig
from contimg.instruments.comap.library import Found
from contimg.instruments.comap.project import open_project

FILES = [
    Found(60001, "Field12", "Galactic", 10),
    Found(60002, "Field12", "Galactic", 20),
    Found(60003, "fg4", "Foreground", 30),
    Found(60011, "TauA", "Calibrator", 40),
]


@pytest.fixture
def project(tmp_path):
    init(tmp_path / "p")
    main = tmp_path / "p" / "parameter_files" / "main_run.toml"

    def opened(**edits):
        for name, (before, after) in edits.items():
            path = main.with_name(f"{name}.toml")
            text = path.read_text()
            assert before in text
            path.write_text(text.replace(before, after))
        return open_project(main)

    return opened


def test_the_shipped_project_is_two_steps(project):
    found = project()
    assert found.step_names() == ["Level2Pipeline", "MapMaking"]
    level2, maps = (found.step(number, FILES) for number in (0, 1))
    (group,) = level2.groups
    assert group.resource.spec.pipeline == "comap-level2"
    assert group.resource.spec.observations.members == ("0060001", "0060002", "0060003", "0060011")
    assert group.bytes == 100
    assert len(group.resource.spec.stages["level2"]["modules"]) == 10
    (group,) = maps.groups
    assert group.resource.spec.observations.members == ("0060001", "0060002")
    assert group.resource.spec.stages["destripe"]["maps"][0]["name"] == "field12"
    assert not level2.warnings
    assert not maps.warnings


def test_both_steps_mean_the_same_level_2(project):
    level2, maps = (project().step(number, FILES).groups[0].resource.spec.stages for number in (0, 1))
    assert level2["level2"] == maps["level2"]


def test_keys_without_meaning_for_the_result_change_nothing(project):
    before = project().step(0, FILES).groups[0].resource.spec.stages
    path = "CheckLevel1FileExists()"
    after = project(level2_processing=(path, "CheckLevel1FileExists(dummy=false, overwrite=true, plot_x=1)"))
    assert after.step(0, FILES).groups[0].resource.spec.stages == before


def test_entries_of_one_selection_are_one_group_and_each_feed_may_have_a_map(project):
    lines = (
        "\"a.CreateMap.CreateMap(source=['Field*'], map_name='one', feeds=[1, 3])\",\n"
        "\"a.CreateMap.CreateMap(source='Field12', map_name='two', band=7)\",\n"
        "\"a.CreateMapPerFeed.CreateMapPerFeed(source_group='Foreground', map_name='three', feeds=[2, 19])\",\n"
    )
    before = (
        "\"modules.MapMaking.MapMakingModules.CreateMap.CreateMap(source='Field12', band=0, map_name='field12')\",\n"
    )
    groups = project(level2_mapmaking=(before, lines)).step(1, FILES).groups
    maps = [[one["name"] for one in group.resource.spec.stages["destripe"]["maps"]] for group in groups]
    assert maps == [["one", "two"], ["three", "three"]]
    assert sorted(groups[1].outputs) == ["three_band00_feed02.fits", "three_band00_feed19.fits"]


def test_a_list_of_obsids_counts_instead_of_the_source(project):
    found = project(level2_mapmaking=("# obsid_list", "obsid_list"))
    (found.root / "obsids.txt").write_text("60003\n0060011  # the second\n")
    assert found.step(1, FILES).groups[0].resource.spec.observations.members == ("0060003", "0060011")
    (found.root / "obsids.txt").write_text("x\n")
    with pytest.raises(BadConfig, match="give one obsid per line"):
        found.step(1, FILES)


L2, MAPS = "level2_processing", "level2_mapmaking"
SOURCE = '# source = "Field12"'
MISTAKES = [
    (0, L2, "FindScans()", "KeepLines()", "KeepLines is not there yet"),
    (0, L2, "FindScans()", "FindScan()", r"level2_processing.toml:\d+: .*FindScan is unknown; did"),
    (0, L2, "end_cut = 100 ", "end_cuts = 100 ", "key 'end_cuts' is unknown; did you mean 'end_cut'"),
    (0, L2, "medfilt_length = 3000", "medfilt_length = 'x'", "key 'medfilt_length' = 'x'"),
    (0, L2, SOURCE, "sources = 'x'", "has no key 'sources'; did you mean 'source'"),
    (0, L2, SOURCE, "source = 'x'", "no level-1 file of 4 fits source x"),
    (1, MAPS, "band=0", "band=8", r"level2_mapmaking.toml:\d+: .*maps.0.band' = 8"),
    (1, MAPS, "band=0", "bands=0", "CreateMap has no key 'bands'; did you mean 'band'"),
    (1, MAPS, "band=0", "use_planck_prior=True", "use_planck_prior = True is not there yet"),
    (1, MAPS, "map_name='field12'", "map_name='../x'", "maps.0.name' = '../x'"),
    (1, MAPS, "feeds = [1, 2,", "feeds = [0, 2,", "maps.0.feeds.0' = 0"),
]


@pytest.mark.parametrize(("step", "file", "before", "after", "words"), MISTAKES)
def test_mistakes_name_file_line_and_key(project, step, file, before, after, words):
    with pytest.raises(BadConfig, match=words):
        project(**{file: (before, after)}).step(step, FILES)


def test_steps_that_are_not_there_yet_are_said_to_be_so(project):
    found = project(main_run=("MapMaking.MapMaking.MapMaking()", "MapMaking.MapMaking.LineMapMaking()"))
    with pytest.raises(BadConfig, match="LineMapMaking is not there yet"):
        found.step_names()
