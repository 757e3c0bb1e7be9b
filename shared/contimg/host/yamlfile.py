"""Read the YAML a user wrote; every mistake is told with file, line, field, value and cure.

One file may hold several documents; a laptop run takes the first ``ObservationGroup``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from contimg.errors import BadConfig
from contimg.models.group import ObservationGroup
from contimg.models.params import effective, nearest, spec_of, specs
from contimg.models.pipeline import Pipeline
from contimg.pipelines import pipeline, pipelines

M = TypeVar("M", bound=BaseModel)

__all__ = ["check_stages", "dump", "load_group", "load_model"]


class _Loader(yaml.SafeLoader):
    """Refuses, with its line, what YAML itself lets pass: a field twice, a value inside itself, an impossible date."""

    def construct_document(self, node: yaml.Node) -> Any:
        self.deep_construct = True  # makes PyYAML refuse a value that contains itself
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, f"field {key.value!r} stands twice", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep)

    def construct_date(self, node: yaml.ScalarNode) -> Any:
        """Return a date or a time."""
        try:
            return self.construct_yaml_timestamp(node)
        except ValueError as error:
            problem = f"{node.value!r} is no date: {error}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_date)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        raise BadConfig(f"{path} does not exist; name the YAML file of a group") from None
    except IsADirectoryError:
        raise BadConfig(f"{path} is a directory; name the YAML file of a group") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path} cannot be read as text: {error}") from error


def _compose(path: Path, text: str) -> tuple[yaml.Node, Any]:
    """Return nodes (for line numbers) and values of the first ObservationGroup, else of the first document."""
    try:
        nodes = [node for node in yaml.compose_all(text, Loader=_Loader) if node is not None]
        values = [value for value in yaml.load_all(text, Loader=_Loader) if value is not None]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadConfig(f"{path}:{line}: this is not valid YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadConfig(f"{path}:{line}: this is not valid YAML: {error.reason}; remove the character") from error
    if not values:
        raise BadConfig(f"{path} is empty; it should hold one ObservationGroup")
    kinds = [value.get("kind") if isinstance(value, dict) else None for value in values]
    index = kinds.index("ObservationGroup") if "ObservationGroup" in kinds else 0
    return nodes[index], values[index]


def line_of(node: yaml.Node, where: Sequence[str | int]) -> int:
    """Return the line of a field, or of the nearest parent that exists, counted from 1."""
    line = node.start_mark.line + 1
    for part in where:
        if isinstance(node, yaml.MappingNode):
            pair = next((p for p in node.value if p[0].value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _fields(model: type[BaseModel], where: Sequence[str | int]) -> list[str]:
    """Return the names that are valid where an unknown one was given."""
    current: Any = model
    for part in where[:-1]:
        field = next((f for n, f in current.model_fields.items() if part in (n, f.alias)), None)
        annotation = getattr(field, "annotation", None)
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        current = annotation
    return [f.alias or n for n, f in current.model_fields.items()]


def _sentence(path: Path, node: yaml.Node, error: ValidationError, model: type[BaseModel]) -> str:
    first = error.errors()[0]
    where = [part for part in first["loc"] if not str(part).startswith("function-")]
    name = ".".join(str(part) for part in where) or "the document"
    line = line_of(node, where)
    if first["type"] == "extra_forbidden":
        return f"{path}:{line}: field {name!r} is unknown{nearest(str(where[-1]), _fields(model, where))}"
    if first["type"] == "missing":
        return f"{path}:{line}: field {name!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    given = "" if isinstance(first["input"], dict) else f" = {first['input']!r}"
    return f"{path}:{line}: field {name!r}{given}: {message}"


def load_model(path: Path, model: type[M]) -> M:
    """Read one resource from a YAML file.

    Raises
    ------
    BadConfig
        If the file is missing, is no YAML, or has a field that the model refuses.
    """
    node, value = _compose(path, _read(path))
    if not isinstance(value, dict):
        raise BadConfig(
            f"{path}:{node.start_mark.line + 1}: expected fields like 'kind:', found {type(value).__name__}"
        )
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise BadConfig(_sentence(path, node, error, model)) from error


def check_stages(path: Path, group: ObservationGroup, chosen: Pipeline) -> None:
    """Refuse stages and parameters that the pipeline does not have.

    Raises
    ------
    BadConfig
        Naming file, line and the nearest valid name.
    """
    node, _ = _compose(path, _read(path))
    for stage, params in group.spec.stages.items():
        item = chosen.stage(stage)
        line = line_of(node, ["spec", "stages", stage])
        if item is None or stage not in specs():
            names = [s.stage for s in chosen.stages if s.stage in specs()]
            raise BadConfig(
                f"{path}:{line}: pipeline {chosen.name!r} has no stage {stage!r} with parameters{nearest(stage, names)}"
            )
        for key in params:
            try:
                effective(spec_of(stage), item.params | {key: params[key]})
            except BadConfig as error:
                line = line_of(node, ["spec", "stages", stage, key])
                raise BadConfig(f"{path}:{line}: {error}") from error
        try:
            effective(spec_of(stage), item.params | params)
        except BadConfig as error:
            raise BadConfig(f"{path}:{line}: {error}") from error


def load_group(path: Path) -> tuple[ObservationGroup, Pipeline]:
    """Read a group and its pipeline, completely checked.

    Raises
    ------
    BadConfig
        One sentence with file, line, field, value and cure.
    """
    group = load_model(path, ObservationGroup)
    if group.spec.pipeline not in pipelines():
        node, _ = _compose(path, _read(path))
        line = line_of(node, ["spec", "pipeline"])
        try:
            pipeline(group.spec.pipeline)
        except BadConfig as error:
            raise BadConfig(f"{path}:{line}: {error}") from None
    chosen = pipeline(group.spec.pipeline)
    check_stages(path, group, chosen)
    return group, chosen


def dump(resource: BaseModel) -> str:
    """Return the YAML of a resource, camelCase, unset fields left out."""
    value = resource.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
