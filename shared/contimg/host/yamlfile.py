"""Read the YAML a user wrote; every mistake is told with file, line, field, value and cure.

One file may hold several documents, resources of others among them, as ``kubectl apply`` takes it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent, ScalarEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from contimg.errors import BadConfig, BadInput
from contimg.models.base import ALLOWED
from contimg.models.group import ObservationGroup
from contimg.models.instrument import pipeline, pipelines
from contimg.models.pipeline import Pipeline
from contimg.models.spec import Scope, effective, nearest, spec_of, specs
from contimg.models.survey import Survey
from contimg.volume import disk

__all__ = ["Located", "Resource", "dumps", "load_group", "load_resources", "load_values"]

M = TypeVar("M", bound=BaseModel)
Resource = ObservationGroup | Survey | Pipeline
KINDS: dict[str, type[Resource]] = {"ObservationGroup": ObservationGroup, "Survey": Survey, "Pipeline": Pipeline}
OURS = "contimg.dsa110.org/"
LARGEST = 1024 * 1024
"""Bytes of a file; a group of 5 000 named members takes a tenth of it."""
DEEPEST = 32
"""Lists and mappings inside each other; the resources need seven."""


@dataclass(frozen=True)
class Located:
    """A resource and the line where its document begins."""

    resource: Resource
    line: int


@dataclass(frozen=True)
class _Document:
    """One document of a file: its nodes know their lines, its values are plain."""

    path: Path
    node: Node
    value: Any

    def at(self, where: Sequence[str | int]) -> str:
        """Return ``file:line`` of a field."""
        return f"{self.path}:{line_of(self.node, where)}"

    @property
    def kind(self) -> Any:
        """What it says it is."""
        return self.value.get("kind") if isinstance(self.value, dict) else None

    @property
    def is_ours(self) -> bool:
        """Whether no other API group claims it."""
        version = self.value.get("apiVersion", OURS) if isinstance(self.value, dict) else OURS
        return str(version).startswith(OURS)


def _text(path: Path, wanted: str) -> str:
    try:
        with disk.open_regular(path) as stream:
            content = stream.read(LARGEST + 1)
            text = content.decode()
    except FileNotFoundError:
        raise BadConfig(f"{path} does not exist; name a YAML file with one {wanted}") from None
    except BadInput as error:
        what = "is a directory" if path.is_dir() else "is no regular file"
        raise BadConfig(f"{path} {what}; name a YAML file with one {wanted}") from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise BadConfig(f"{path} cannot be read as text: {error}") from error
    if len(content) > LARGEST:
        raise BadConfig(f"{path} is larger than {LARGEST} bytes; name a YAML file with one {wanted}")
    return text.removeprefix("\ufeff")


def _yaml() -> YAML:
    """Return the safe loader in pure Python: the one whose nodes have lines."""
    return YAML(typ="safe", pure=True)


def _refused(problem: str, mark: StringMark) -> MarkedYAMLError:
    return MarkedYAMLError(None, None, problem, mark)


def _check_events(text: str) -> None:
    """Refuse before anything is built what could grow without bound: aliases, merge keys, endless nesting."""
    depth = 0
    for event in _yaml().parse(text):
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor):
            name = f"anchor or alias {event.anchor!r} is not taken; write the value out where it is needed"
            raise _refused(name, event.start_mark)
        if isinstance(event, ScalarEvent) and event.value == "<<" and event.style is None:
            raise _refused("merge key '<<' is not taken; write the fields out", event.start_mark)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise _refused(f"more than {DEEPEST} levels inside each other; no field needs so many", event.start_mark)


def _check_keys(keys: Iterable[Node]) -> None:
    seen: set[str] = set()
    for key in keys:
        if isinstance(key, ScalarNode):
            if key.value in seen:
                raise _refused(f"field {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)


def _check_node(node: Node, construct_date: Callable[[ScalarNode], Any]) -> None:
    """Refuse with its line what the library lets pass or tells without one: a field twice, an impossible date."""
    if isinstance(node, ScalarNode) and node.tag == "tag:yaml.org,2002:timestamp":
        try:
            construct_date(node)
        except ValueError as error:
            raise _refused(f"{node.value!r} is no date: {error}", node.start_mark) from error
    inner = [] if isinstance(node, ScalarNode) else node.value
    if isinstance(node, MappingNode):
        _check_keys(key for key, _ in node.value)
        inner = [each for pair in node.value for each in pair]
    for each in inner:
        _check_node(each, construct_date)


def _built(path: Path, text: str) -> Iterator[_Document]:
    _check_events(text)
    constructor, _ = _yaml().get_constructor_parser(text)
    while constructor.composer.check_node():
        node = constructor.composer.get_node()
        _check_node(node, constructor.construct_yaml_timestamp)
        value = constructor.construct_document(node)
        if value is not None:
            yield _Document(path, node, value)


def _documents(path: Path, wanted: str = "ObservationGroup") -> list[_Document]:
    """Return the documents of a file that are not empty.

    Raises
    ------
    BadConfig
        If it cannot be read, is no YAML or holds nothing.
    """
    text = _text(path, wanted)
    try:
        found = list(_built(path, text))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadConfig(f"{path}:{line}: this is not valid YAML: {error.problem}") from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadConfig(f"{path}:{line}: this is not valid YAML: {error.reason}; remove the character") from error
    if not found:
        raise BadConfig(f"{path} is empty; it should hold one {wanted}")
    return found


def _first_group(documents: Sequence[_Document]) -> _Document:
    """Return the first ObservationGroup, else the first document."""
    return next((each for each in documents if each.kind == "ObservationGroup"), documents[0])


def line_of(node: Node, where: Sequence[str | int]) -> int:
    """Return the line of a field, or of the nearest parent that exists, counted from 1."""
    line: int = node.start_mark.line + 1
    for part in where:
        if isinstance(node, MappingNode):
            pair = next((p for p in node.value if p[0].value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
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


def _sentence(document: _Document, error: ValidationError, model: type[BaseModel]) -> str:
    first = error.errors()[0]
    where = [part for part in first["loc"] if not str(part).startswith("function-")]
    name = ".".join(str(part) for part in where) or "the document"
    place = document.at(where)
    if first["type"] == "extra_forbidden":
        return f"{place}: field {name!r} is unknown{nearest(str(where[-1]), _fields(model, where))}"
    if first["type"] == "missing":
        return f"{place}: field {name!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "string_pattern_mismatch" and first["ctx"]["pattern"] in ALLOWED:
        message = f"this is no name here; give {ALLOWED[first['ctx']['pattern']]}{_proposal(first['input'], where)}"
    given = "" if isinstance(first["input"], dict) else f" = {_short(first['input'])}"
    return f"{place}: field {name!r}{given}: {message}"


def _proposal(given: str, where: Sequence[str | int]) -> str:
    """Return a name for a resource that is like the one that was given."""
    like = re.sub(r"[^a-z0-9.-]+", "-", given.lower()).strip(".-")[:63].strip(".-")
    return f", e.g. {like}" if like and tuple(where) == ("metadata", "name") else ""


def _short(value: Any) -> str:
    """Return a value as the user wrote it, cut where nobody reads on."""
    words = repr(value)
    return words if len(words) <= 200 else f"{words[:180]}… ({len(words)} characters)"


def _validated(document: _Document, model: type[M]) -> M:
    if not isinstance(document.value, dict):
        raise BadConfig(f"{document.at(())}: expected fields like 'kind:', found {type(document.value).__name__}")
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        raise BadConfig(_sentence(document, error, model)) from error


def _check_pipeline(document: _Document, name: str, known: Mapping[str, Pipeline]) -> Pipeline:
    if name in known:
        return known[name]
    try:
        return pipeline(name)
    except BadConfig as error:
        raise BadConfig(f"{document.at(('spec', 'pipeline'))}: {error}") from None


def _check_stages(
    document: _Document, root: tuple[str, ...], stages: Mapping[str, dict[str, Any]], chosen: Pipeline
) -> None:
    for stage, params in stages.items():
        item = chosen.stage(stage)
        place = document.at((*root, stage))
        if item is None or not _has_tasks(stage):
            names = [each.stage for each in chosen.stages if _has_tasks(each.stage)]
            raise BadConfig(
                f"{place}: pipeline {chosen.name!r} has no stage {stage!r} with parameters{nearest(stage, names)}"
            )
        for key in params:
            _check_params(document.at((*root, stage, key)), stage, item.params | {key: params[key]})
        _check_params(place, stage, item.params | params)


def _has_tasks(stage: str) -> bool:
    return stage in specs() and specs()[stage].scope is not Scope.WATCHER


def _check_params(place: str, stage: str, params: dict[str, Any]) -> None:
    try:
        effective(spec_of(stage), params)
    except BadConfig as error:
        raise BadConfig(f"{place}: {error}") from error


def load_group(path: Path) -> tuple[ObservationGroup, Pipeline]:
    """Read the first group of a file and its pipeline, completely checked.

    Raises
    ------
    BadConfig
        One sentence with file, line, field, value and cure.
    """
    documents = _documents(path)
    document = _first_group(documents)
    group = _validated(document, ObservationGroup)
    own = {each.name: each for each in _pipelines(documents)}
    chosen = _check_pipeline(document, group.spec.pipeline, own | pipelines())
    _check_stages(document, ("spec", "stages"), group.spec.stages, chosen)
    return group, chosen


def _pipelines(documents: Sequence[_Document]) -> list[Pipeline]:
    return [_validated(each, Pipeline) for each in documents if each.kind == "Pipeline" and each.is_ours]


def load_resources(path: Path) -> list[Located]:
    """Read every resource of a file, completely checked, in the order of the file.

    Documents of another API group are left alone. A group or survey may use a pipeline of the same file.

    Raises
    ------
    BadConfig
        One sentence with file, line, field, value and cure.
    """
    documents = [each for each in _documents(path) if each.is_ours]
    if not documents:
        raise BadConfig(f"{path} holds no resource of {OURS.rstrip('/')}; it should hold one ObservationGroup")
    known = pipelines() | {each.name: each for each in _pipelines(documents)}
    found, names = [], set()
    for document in documents:
        resource = _resource(document, known)
        name = (document.kind, resource.metadata.name)
        if name in names:
            raise BadConfig(f"{document.at(('metadata', 'name'))}: {name[0]} {name[1]!r} stands twice in this file")
        names.add(name)
        found.append(Located(resource, line_of(document.node, ())))
    return found


def _resource(document: _Document, known: Mapping[str, Pipeline]) -> Resource:
    model = KINDS.get(document.kind) if isinstance(document.kind, str) else ObservationGroup
    if model is None:
        kinds = f"; there are {', '.join(KINDS)}"
        raise BadConfig(
            f"{document.at(('kind',))}: field 'kind' = {_short(document.kind)} is unknown"
            f"{nearest(document.kind, KINDS)}{kinds}"
        )
    resource: Resource = _validated(document, model)
    if isinstance(resource, Pipeline):
        return resource
    chosen = _check_pipeline(document, resource.spec.pipeline, known)
    is_group = isinstance(resource, ObservationGroup)
    stages = resource.spec.stages if isinstance(resource, ObservationGroup) else resource.spec.template.stages
    _check_stages(document, ("spec", "stages") if is_group else ("spec", "template", "stages"), stages, chosen)
    return resource


def load_values(path: Path) -> dict[str, Any]:
    """Read a file that holds one mapping of plain values.

    Raises
    ------
    BadConfig
        If it cannot be read, is no YAML, or holds something else.
    """
    document = _documents(path, "mapping of fields")[0]
    if not isinstance(document.value, dict):
        raise BadConfig(f"{document.at(())}: expected a mapping of fields, found {type(document.value).__name__}")
    return {str(key): value for key, value in document.value.items()}


def dumps(value: Any) -> str:
    """Return plain values as YAML, in their order."""
    stream = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # its class says None
    writer.dump(value, stream)
    return stream.getvalue()
