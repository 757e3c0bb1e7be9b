"""A project: ``main_run.toml`` and the files it names, as groups that the platform runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contimg.engine.words import several
from contimg.errors import BadConfig
from contimg.instruments.comap.grammar import Entry, ParameterFile, read_parameters
from contimg.instruments.comap.library import Found, Wish, obsids_of, select
from contimg.instruments.comap.modules import DEFAULT_CALLS, IGNORED, MODULES, checked
from contimg.models.group import ObservationGroup
from contimg.models.resource import API_VERSION
from contimg.models.spec import effective, nearest, spec_of

__all__ = ["Group", "Project", "Step", "open_project"]

_MOST = 500
"""Observations of a group of level 2."""
_STEPS = ("Level2Pipeline", "MapMaking")
_LATER = ("CalibrationModel", "LineMapMaking", "DataCheckRemote", "DataAcquisition", "DataAssess", "ObserverFlags")
_LATER_MODULES = ("CalibratorFitting", "KeepLines", "CreateMapDayNight", "CreateLineMap")
_MAP_KEYS = {
    "map_name": "name",
    "band": "band",
    "feeds": "feeds",
    "wcs_def": "wcs",
    "dynamic_wcs_cdelt": "cell_deg",
    "dynamic_wcs_padding": "padding_deg",
    "offset_length": "offset_length",
    "lambda_ridge": "lambda_ridge",
    "tod_data_name": "tod",
}
_SELECTS = ("source", "source_group", "obsid_list_file")
_AS_DEFAULT: dict[str, tuple[Any, ...]] = {
    "apply_pointing_correction": (False,),
    "calib_path": (None, ""),
    "calib_source": (None, ""),
    "jackknife_odd_even": (None, ""),
    "line_frequency": (31.22332,),
    "line_mode": (False,),
    "line_segment_width": (30,),
    "n_destriper_iterations": (1,),
    "planck_30_path": (None, ""),
    "pointing_params_path": (None, ""),
    "prior_mixing_alpha": (0, 0.5),
    "prior_smoothing_fwhm_deg": (0.5,),
    "sigma_red_cutoff": (0.4,),
    "split_groups": ({},),
    "split_mode": ("none",),
    "sun_elevation_threshold": (0,),
    "use_planck_prior": (False,),
    "use_scan_flags": (False,),
    "wcs_def_file": ("map_making_configs/wcs_definitions.toml",),
    "write_mean_azel": (False,),
}
"""Keys of maps that are understood with these values only, as yet."""
_MASTER = {
    "Level2Pipeline": ("pipeline", "source", "source_group", "target_obsid"),
    "MapMaking": ("pipeline", "min_obsid", "max_obsid", "obsid_list"),
}


@dataclass(frozen=True)
class Group:
    """A group to run."""

    resource: ObservationGroup
    bytes: int
    """Of its level-1 files."""
    outputs: dict[str, Path] = field(default_factory=dict)
    """Where a map also appears, by the name of its file."""


@dataclass(frozen=True)
class Step:
    """A line of the main file, resolved."""

    name: str
    groups: list[Group]
    warnings: list[str]


@dataclass
class Project:
    """A main file in its directory."""

    root: Path
    main: ParameterFile

    @property
    def level1_roots(self) -> list[Path]:
        """Return the directories that ``level1_data_paths`` names.

        Raises
        ------
        BadConfig
            If it is no list of texts.
        """
        given = self.main.table("DataAssess").get("level1_data_paths", [])
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            raise BadConfig(f"{self.main.path}: level1_data_paths = {given!r} is no list of directories")
        return [self.root / one for one in given]

    def step_names(self) -> list[str]:
        """Return the steps in order.

        Raises
        ------
        BadConfig
            If one is unknown or not there yet.
        """
        return [_known(entry, _STEPS, _LATER).name for entry in self.main.entries()]

    def step(self, number: int, files: Sequence[Found]) -> Step:
        """Resolve a step with the files that are there now.

        Raises
        ------
        BadConfig
            If something in its file is wrong, or nothing is selected.
        """
        entry = self.main.entries()[number]
        return self._level2(entry, files) if entry.name == "Level2Pipeline" else self._maps(entry, files)

    # -- level 2 ----------------------------------------------------------------------------------------------------

    def _level2_file(self, args: dict[str, Any]) -> ParameterFile:
        return self._open(args, "level2_processing.toml")

    def _open(self, args: dict[str, Any], usual: str) -> ParameterFile:
        return read_parameters(self.root / str(args.get("config_file", f"parameter_files/{usual}")))

    def _level2(self, entry: Entry, files: Sequence[Found]) -> Step:
        _no_other(entry, ("config_file", "MIN_OBSID", "target_obsid"))
        config = self._level2_file(entry.args)
        master = _master(config, "Level2Pipeline")
        target = entry.args.get("target_obsid", master.get("target_obsid"))
        wish = Wish(
            sources=_texts(master.get("source")),
            groups=_texts(master.get("source_group")),
            first=int(entry.args.get("MIN_OBSID", 7000)),
            obsids=obsids_of(target, self.root, str(config.path)),
        )
        chosen = select(files, wish)
        if not chosen:
            raise BadConfig(f"{config.path}: no level-1 file of {len(files)} fits {_said(wish)}; mend the selection")
        modules, groups = _modules(config), []
        for number in range(0, len(chosen), _MOST):
            part = chosen[number : number + _MOST]
            name = f"level2-{number // _MOST + 1}"
            groups.append(_group(name, "comap-level2", part, {"level2": {"modules": modules}}))
        return Step(entry.name, groups, self.main.warnings + config.warnings)

    # -- maps -------------------------------------------------------------------------------------------------------

    def _maps(self, entry: Entry, files: Sequence[Found]) -> Step:
        _no_other(entry, ("config_file",))
        config = self._open(entry.args, "level2_mapmaking.toml")
        master = _master(config, "MapMaking")
        modules = _modules(self._level2_file(self.main.table("Level2Pipeline")))
        sets: dict[tuple[str, ...], tuple[list[Found], list[dict[str, Any]], dict[str, Path]]] = {}
        for one in config.entries():
            _known(one, ("CreateMap", "CreateMapPerFeed"), _LATER_MODULES)
            chosen = self._chosen(one, master, files)
            _, maps, outputs = sets.setdefault(tuple(item.id for item in chosen), (chosen, [], {}))
            for request in _requests(one):
                maps.append(request)
                outputs[_file_name(request)] = self.root / str(one.args.get("output_dir", "outputs/"))
        groups = []
        for members, (chosen, maps, outputs) in sets.items():
            stages = {"level2": {"modules": modules}, "destripe": {"maps": maps}}
            name = f"maps-{hashlib.sha256(','.join(members).encode()).hexdigest()[:12]}"
            groups.append(_group(name, "comap-galactic", chosen, stages, outputs))
        return Step(entry.name, groups, self.main.warnings + config.warnings)

    def _chosen(self, entry: Entry, master: dict[str, Any], files: Sequence[Found]) -> list[Found]:
        listed = entry.args.get("obsid_list_file") or master.get("obsid_list")
        last = master.get("max_obsid")
        wish = Wish(
            sources=() if listed else _texts(entry.args.get("source")),
            groups=() if listed else _texts(entry.args.get("source_group")),
            first=int(master.get("min_obsid", 7000)),
            last=None if last is None else int(last),
            obsids=obsids_of(listed, self.root, entry.where),
        )
        chosen = select(files, wish)
        if not chosen:
            raise BadConfig(f"{entry.where}: no level-1 file of {len(files)} fits {_said(wish)}; mend the selection")
        return chosen


def open_project(main: Path) -> Project:
    """Open a main file; paths in it are relative to the directory above ``parameter_files``.

    Raises
    ------
    BadConfig
        If it cannot be read.
    """
    place = main.absolute()
    root = place.parent.parent if place.parent.name == "parameter_files" else place.parent
    return Project(root, read_parameters(place))


def _known(entry: Entry, known: tuple[str, ...], later: tuple[str, ...]) -> Entry:
    if entry.name in known:
        return entry
    if entry.name in later:
        raise BadConfig(f"{entry.where}: {entry.name} is not there yet (docs/known-limits.md); take the line out")
    hint = nearest(entry.name, known)
    raise BadConfig(f"{entry.where}: {entry.path} is unknown{hint}; known are {', '.join(known)}")


def _ignored(key: str) -> bool:
    return key in IGNORED or key.startswith("plot")


def _no_other(entry: Entry, known: tuple[str, ...]) -> None:
    for key in entry.args:
        if key not in known and not _ignored(key):
            raise BadConfig(f"{entry.where}: {entry.name} has no key {key!r}{nearest(key, known)}")


def _master(config: ParameterFile, step: str) -> dict[str, Any]:
    known = _MASTER[step]
    for key in config.master:
        if key not in known and not _ignored(key):
            where = config.line_of(key)
            raise BadConfig(f"{where}: [Master] has no key {key!r}{nearest(key, known)}")
    return config.master


def _texts(value: Any) -> tuple[str, ...]:
    """Return one text or a list of them; none for nothing, ``Unknown`` is what the earlier files say for nothing."""
    listed = value if isinstance(value, list) else [value]
    return tuple(str(one) for one in listed if one not in (None, "", "Unknown"))


def _said(wish: Wish) -> str:
    found = [f"source {' or '.join(wish.sources)}"] if wish.sources else []
    found += [f"group {' or '.join(wish.groups)}"] if wish.groups else []
    found += [several(len(wish.obsids), "obsid")] if wish.obsids is not None else []
    end = "" if wish.last is None else f" to {wish.last}"
    return ", ".join([*found, f"obsid from {wish.first}{end}"])


def _modules(config: ParameterFile) -> list[dict[str, Any]]:
    """Return the list of modules as the stage takes it: only what differs from the defaults."""
    found = []
    for entry in config.entries():
        _known(entry, tuple(MODULES), _LATER_MODULES)
        args = {key: value for key, value in entry.args.items() if not _ignored(key)}
        try:
            call = checked(entry.name, args)
        except BadConfig as error:
            raise BadConfig(f"{entry.where}: {error}") from error
        plain = json.loads(call.args.model_dump_json(exclude_defaults=True))
        found.append({"name": entry.name, "args": plain, "version": MODULES[entry.name].version})
    names = [one["name"] for one in found]
    for name in ("CreateLevel2File", "GainFilterAndBin"):
        if name not in names:
            raise BadConfig(f"{config.path}: the pipeline has no {name}; the shipped one is {', '.join(DEFAULT_CALLS)}")
    return found


def _requests(entry: Entry) -> list[dict[str, Any]]:
    """Return the maps of an entry."""
    request: dict[str, Any] = {"name": "Unknown"}
    for key, value in entry.args.items():
        if key in _MAP_KEYS:
            request[_MAP_KEYS[key]] = value
        elif key in _AS_DEFAULT:
            if value not in _AS_DEFAULT[key]:
                text = f"{entry.where}: {entry.name}: {key} = {value!r} is not there yet (docs/known-limits.md)"
                raise BadConfig(f"{text}; leave it out")
        elif key not in _SELECTS and not _ignored(key):
            known = [*_MAP_KEYS, *_AS_DEFAULT, *_SELECTS]
            raise BadConfig(f"{entry.where}: {entry.name} has no key {key!r}{nearest(key, known)}")
    if request.get("wcs") is None:
        request["wcs"] = "dynamic"
    many = entry.name == "CreateMapPerFeed"
    made = [{**request, "feeds": [feed]} for feed in request.get("feeds", range(1, 20))] if many else [request]
    try:
        complete = effective(spec_of("destripe"), {"maps": made})
    except BadConfig as error:
        raise BadConfig(f"{entry.where}: {error}") from error
    return list(complete["maps"])


def _file_name(request: dict[str, Any]) -> str:
    feeds = "-".join(f"{feed:02d}" for feed in sorted(request["feeds"]))
    return f"{request['name']}_band{request['band']:02d}_feed{feeds}.fits"


def _group(
    name: str,
    pipeline: str,
    chosen: Sequence[Found],
    stages: dict[str, Any],
    outputs: dict[str, Path] | None = None,
) -> Group:
    wish = {
        "pipeline": pipeline,
        "observations": {"members": [one.id for one in chosen]},
        "stages": stages,
        "minMembers": 1,
    }
    head = {"apiVersion": API_VERSION, "kind": "ObservationGroup", "metadata": {"name": name}}
    resource = ObservationGroup.model_validate(head | {"spec": wish})
    return Group(resource, sum(one.bytes for one in chosen), outputs or {})
