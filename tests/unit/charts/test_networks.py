"""Who may talk to whom, computed from the NetworkPolicies as a cluster's network would."""

from __future__ import annotations

import itertools

import pytest
from chart import pods, rendered

WORKERS = ["apply", "convert", "crossmatch", "group", "image", "mosaic", "publish", "solve"]
SPEAKERS = ["keeper", "operator", "test", *WORKERS]
EXPECTED = {
    *(("nats", 4222, name) for name in SPEAKERS),
    *(("minio", 9000, name) for name in ("publish", "store-setup", "test")),
}
"""Server, port, client: every connection inside the release that is possible."""


def selected(selector, labels):
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", ()))


def ports(rule):
    return {item["port"] for item in rule["ports"]}


def allowed(policies, direction, labels, peer, port):
    """Tell whether a pod's policies let it send to, or hear from, a peer of the release on a port."""
    side = "to" if direction == "egress" else "from"
    for policy in policies:
        if selected(policy["spec"]["podSelector"], labels):
            for rule in policy["spec"].get(direction, ()):
                peers = rule.get(side)
                inside = peers is None or any(
                    "namespaceSelector" not in each and selected(each["podSelector"], peer) for each in peers
                )
                if inside and port in ports(rule):
                    return True
    return False


def matrix(values, *settings):
    objects = rendered(values, *settings)
    policies = [item for item in objects if item["kind"] == "NetworkPolicy"]
    labels = {m["labels"]["app.kubernetes.io/component"]: m["labels"] for m, _ in pods(objects)}
    wanted = {
        port
        for policy in policies
        for way in ("ingress", "egress")
        for rule in policy["spec"].get(way, ())
        for port in ports(rule)
    }
    return {
        (server, port, client)
        for server, client in itertools.permutations(labels, 2)
        for port in wanted
        if allowed(policies, "egress", labels[client], labels[server], port)
        and allowed(policies, "ingress", labels[server], labels[client], port)
    }


def test_inside_the_release_nothing_else_connects():
    assert matrix("locked-down") == EXPECTED


def test_with_external_servers_nobody_connects_inside():
    assert matrix("external") == set()


def test_everything_is_closed_before_it_is_opened():
    policies = [item["spec"] for item in rendered("locked-down") if item["kind"] == "NetworkPolicy"]
    closed = [item for item in policies if "ingress" not in item and "egress" not in item]
    assert [item["policyTypes"] for item in closed] == [["Ingress", "Egress"]]
    for metadata, _ in pods(rendered("locked-down")):
        assert selected(closed[0]["podSelector"], metadata["labels"])


def outside(values):
    """Return component and port of what may leave the release, names apart."""
    objects = rendered(values)
    components = {m["labels"]["app.kubernetes.io/component"]: m["labels"] for m, _ in pods(objects)}
    return {
        (name, port)
        for policy in objects
        if policy["kind"] == "NetworkPolicy"
        for rule in policy["spec"].get("egress", ())
        if "to" not in rule
        for port in ports(rule) - {53}
        for name, labels in components.items()
        if selected(policy["spec"]["podSelector"], labels)
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("locked-down", {("operator", 443), ("operator", 6443)}),
        (
            "external",
            {
                ("operator", 443),
                ("operator", 6443),
                ("publish", 443),
                ("test", 443),
                *((name, 4222) for name in SPEAKERS),
            },
        ),
    ],
)
def test_what_may_leave_the_release(values, expected):
    assert outside(values) == expected


def test_only_named_namespaces_read_metrics():
    (policy,) = [item for item in rendered("production") if item["metadata"]["name"] == "contimg-metrics"]
    assert ports(policy["spec"]["ingress"][0]) == {8080}
    assert "monitoring" in str(policy["spec"]["ingress"][0]["from"])
    assert not [item for item in rendered("locked-down") if item["metadata"]["name"] == "contimg-metrics"]
