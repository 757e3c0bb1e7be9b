"""Groups and surveys of a cluster, read as :class:`contimg.host.store.ResourceStore` reads those of a machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NoReturn, TypeVar

import typer
from pydantic import ValidationError

from contimg.cli.keeperpod import pass_on
from contimg.cli.kube import Kube
from contimg.errors import BadConfig
from contimg.host.store import ResourceStore
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.resource import API_VERSION
from contimg.models.spec import nearest
from contimg.models.survey import SurveyStatus

__all__ = ["Cluster", "ClusterStore", "Store"]

GROUP, _, VERSION = API_VERSION.partition("/")
GROUPS, SURVEYS = "observationgroups", "surveys"
PAGE = 500
"""Resources that the API server is asked for at a time."""
CONDITIONS = {"Succeeded", "Progressing", "Stalled", "Degraded"}
S = TypeVar("S", GroupStatus, SurveyStatus)
Body = dict[str, Any]


class Cluster:
    """Where the commands that look find things: the API server, and the keeper's pod for records.

    Parameters
    ----------
    context, namespace
        As the user gave them; see :class:`Kube`.
    words
        The command with its words, which the keeper's pod is given as they are.
    """

    def __init__(self, context: str, namespace: str, words: Sequence[str]) -> None:
        self._context, self._namespace = context, namespace
        self.words = tuple(words)

    @cached_property
    def kube(self) -> Kube:
        """The namespace; the kubeconfig is read when it is asked for."""
        return Kube(self._context, self._namespace)

    def store(self) -> ClusterStore:
        """Return groups and surveys as they are now."""
        return ClusterStore(self.kube)

    def hand_over(self, *more: str) -> NoReturn:
        """Let the keeper's pod do this command: it has the records. Its output, its errors and its exit code count."""
        raise typer.Exit(pass_on(self.kube, [*self.words, *more]))


class ClusterStore:
    """Groups and surveys of one namespace with their status; each list is asked for once."""

    def __init__(self, kube: Kube) -> None:
        from kubernetes.client import CustomObjectsApi  # noqa: PLC0415 - 0.3 s, for commands that ask a cluster

        self._kube = kube
        self._api = CustomObjectsApi(kube.client)

    def names(self) -> list[str]:
        """Return the names of all groups."""
        return sorted(self._groups)

    def surveys(self) -> list[str]:
        """Return the names of all surveys."""
        return sorted(self._surveys)

    def get(self, name: str) -> tuple[ObservationGroup, str]:
        """Return a group and where it is from.

        Raises
        ------
        BadConfig
            If there is no such group (the nearest is offered), or it is none that this release understands.
        """
        body = self._body(name)
        try:
            return ObservationGroup.model_validate(body | {"status": None}), self._kube.place
        except ValidationError as error:
            raise BadConfig(
                f"group {name!r} in {self._kube.place}: {_first(error)}; correct it and apply again"
            ) from error

    def status(self, name: str) -> GroupStatus | None:
        """Return the status that the operator wrote; None if there is none that can be read."""
        found = _status(GroupStatus, self._body(name))
        return found if found is not None and {item.type for item in found.conditions} == CONDITIONS else None

    def survey_status(self, name: str) -> SurveyStatus | None:
        """Return the status of a survey; None if there is none that can be read."""
        return _status(SurveyStatus, self._surveys[name])

    def raise_replay(self, name: str) -> int:
        """Raise ``spec.replay`` of a group by one, and return it; not over the head of somebody else.

        Raises
        ------
        BadConfig
            If there is no such group, or no longer.
        """
        body = self._body(name)
        raised = int(body["spec"].get("replay", 0)) + 1
        wish = {"metadata": {"resourceVersion": body["metadata"]["resourceVersion"]}, "spec": {"replay": raised}}
        where = (GROUP, VERSION, self._kube.namespace, GROUPS, name)
        how = {"_content_type": "application/merge-patch+json", "field_manager": "contimg"}
        if self._kube.call(f"patch {GROUPS}", self._api.patch_namespaced_custom_object, *where, wish, **how) is None:
            raise BadConfig(f"group {name!r} in {self._kube.place} was just deleted; apply it again if it is to run")
        return raised

    @cached_property
    def _groups(self) -> dict[str, Body]:
        return self._list(GROUPS)

    @cached_property
    def _surveys(self) -> dict[str, Body]:
        return self._list(SURVEYS)

    def _body(self, name: str) -> Body:
        if name not in self._groups:
            hint = nearest(name, self._groups) or f"; it has {len(self._groups)} groups"
            raise BadConfig(f"no group {name!r} in {self._kube.place}{hint}")
        return self._groups[name]

    def _list(self, plural: str) -> dict[str, Body]:
        """Return the resources of a kind by name, in pages."""
        found: dict[str, Body] = {}
        more = ""
        while True:
            page = self._page(plural, more)
            found |= {each["metadata"]["name"]: each for each in page["items"]}
            more = page["metadata"].get("continue") or ""
            if not more:
                break
        if not found:
            self._kube.check_namespace()
        return found

    def _page(self, plural: str, more: str) -> Body:
        where = (GROUP, VERSION, self._kube.namespace, plural)
        options: Body = {"limit": PAGE} | ({"_continue": more} if more else {})
        ask = self._api.list_namespaced_custom_object
        page: Body | None = self._kube.call(f"list {plural}", ask, *where, **options)
        if page is None:
            raise BadConfig(
                f"the cluster of context {self._kube.context!r} knows no {plural}.{GROUP}; install the chart "
                f"(helm install contimg charts/contimg -n {self._kube.namespace}), or take another context"
            )
        return page


Store = ResourceStore | ClusterStore
"""What knows the groups: a state directory, or an API server."""


def _status(model: type[S], body: Body) -> S | None:
    try:
        return model.model_validate(body["status"]) if body.get("status") else None
    except ValidationError:
        return None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
