"""Security groups: what they name, how many rules they hold, how many an ENI carries."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.model.cloud import Cluster, SecurityGroup
from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.faults import did_you_mean, listed, show
from testbed.spec.index import Index

MOST_GROUPS = 5
MOST_RULES = 50
GENERATED = ("cce-node", "cce-control", "cce-eni")
"""Endings of the groups that are made for each cluster: ``<cluster>-cce-node``, ..."""

DEFAULT_GROUP = "default"
"""The group that every VPC has."""


def check_security_groups(index: Index) -> None:
    for group in index.lab.security_groups:
        spec = index.cursor("security_groups", group)["spec"]
        index.vpc(spec["vpc"], group.vpc)
        _check_rules(index, spec, group)
    for server in index.lab.servers:
        subnet = index.by_name["subnets"].get(server.subnet)
        cursor = index.cursor("servers", server)["spec"]["securityGroups"]
        check_groups(index, cursor, server.security_groups, subnet.vpc if subnet else None)
    for cluster in index.lab.clusters:
        _check_cluster(index, index.cursor("clusters", cluster)["spec"], cluster)


def _check_cluster(index: Index, spec: Cursor, cluster: Cluster) -> None:
    check_groups(index, spec["nodeSecurityGroups"], cluster.node_security_groups, cluster.vpc)
    check_groups(index, spec["eniSecurityGroups"], cluster.eni_security_groups, cluster.vpc)
    standing = len(cluster.node_security_groups) or 1
    for position, pool in enumerate(cluster.pools):
        cursor = spec.at("nodePools", position)
        check_groups(index, cursor["securityGroups"], pool.security_groups, cluster.vpc, standing)
        check_groups(index, cursor["podSecurityGroups"], pool.pod_security_groups, cluster.vpc)


def _check_rules(index: Index, spec: Cursor, group: SecurityGroup) -> None:
    written = spec["ingress"].items() + spec["egress"].items()
    if len(written) > MOST_RULES:
        what = f"{len(written)} rules; a security group holds {MOST_RULES}"
        spec.fault(Code.QUOTA_GROUPS, what, "use wider rules or a second group", on_key=True)
    for cursor in written:
        if cursor["securityGroup"].text:
            _check_group(index, cursor["securityGroup"], cursor["securityGroup"].text, group.vpc)


def check_groups(index: Index, cursor: Cursor, names: Sequence[str], vpc: str | None, standing: int = 0) -> None:
    """A list of group names. ``standing``: how many groups the ENI carries besides."""
    cursors = cursor.items() if len(cursor.items()) == len(names) else [cursor] * len(names)
    if len(names) + standing > MOST_GROUPS:
        besides = f" besides {standing} others" if standing else ""
        what = f"{len(names)} security groups{besides}; an ENI carries at most {MOST_GROUPS}"
        cursor.fault(Code.QUOTA_GROUPS, what, on_key=True)
    for position, (item, name) in enumerate(zip(cursors, names, strict=True)):
        if name in names[:position]:
            item.fault(Code.NAME_DUPLICATE, f"Duplicate value: {show(name)}")
        _check_group(index, item, name, vpc)


def _check_group(index: Index, cursor: Cursor, name: str, vpc: str | None) -> None:
    groups = index.by_name["security_groups"]
    if name in groups:
        if vpc and groups[name].vpc != vpc:
            what = f"security group {show(name)} belongs to VPC {show(groups[name].vpc)}"
            cursor.fault(Code.REFERENCE_WRONG, what, f"use one of VPC {show(vpc)}")
        return
    generated = {f"{cluster.name}-{ending}" for cluster in index.lab.clusters for ending in GENERATED}
    generated |= {f"{name}-{ending}" for kind, name in index.refused if kind == "Cluster" for ending in GENERATED}
    if name in generated or name == DEFAULT_GROUP or ("SecurityGroup", name) in index.refused:
        return
    known = [*groups, *generated]
    hint = did_you_mean(name, known) or (f"there are: {listed(groups)}" if groups else "declare a SecurityGroup")
    cursor.fault(Code.REFERENCE_UNKNOWN, f"SecurityGroup {show(name)} does not exist", hint)
