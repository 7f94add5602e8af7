"""What can't be changed on a running lab."""

from __future__ import annotations

from testbed.model.lab import Lab
from testbed.spec.codes import Code
from testbed.spec.faults import show
from testbed.spec.index import Index

_CLUSTER_FIELDS = {
    "vpc": "vpc",
    "container_cidr": "containerCIDR",
    "service_cidr": "serviceCIDR",
    "fix_pool_mask": "fixPoolMask",
    "kube_proxy_mode": "kubeProxyMode",
}


def check_immutable(index: Index, running: Lab) -> None:
    before = {cluster.name: cluster for cluster in running.clusters}
    for cluster in index.lab.clusters:
        old = before.get(cluster.name)
        if old is None or old == cluster:
            continue
        spec = index.cursor("clusters", cluster)["spec"]
        if old.model is not cluster.model:  # its ranges follow from it
            what = f'networkModel cannot be changed: it is "{old.model.value}", not "{cluster.model.value}"'
            spec["networkModel"].fault(Code.FIELD_IMMUTABLE, what, "take the lab down first")
            continue
        for attribute, field in _CLUSTER_FIELDS.items():
            was, wanted = getattr(old, attribute), getattr(cluster, attribute)
            if was != wanted:
                what = f"{field} cannot be changed: it is {show(str(was))}, not {show(str(wanted))}"
                spec[field].fault(Code.FIELD_IMMUTABLE, what, "take the lab down first")
    _check_ranges(index, running)


def _check_ranges(index: Index, running: Lab) -> None:
    ranges = {subnet.name: subnet.cidr for subnet in running.subnets}
    for subnet in index.lab.subnets:
        if subnet.name in ranges and ranges[subnet.name] != subnet.cidr:
            what = f"cidr cannot be changed: it is {ranges[subnet.name]}, not {subnet.cidr}"
            cursor = index.cursor("subnets", subnet)["spec"]["cidr"]
            cursor.fault(Code.FIELD_IMMUTABLE, what, "make a new subnet, or take the lab down first")
