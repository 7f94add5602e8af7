"""Everything that becomes a host of the lab needs a name of its own."""

from __future__ import annotations

from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.faults import show
from testbed.spec.index import Index

FABRIC = "fabric"


def check_host_names(index: Index) -> None:
    taken = {FABRIC: "the lab's own fabric"}
    for cluster in index.lab.clusters:
        spec = index.cursor("clusters", cluster)["spec"]
        for ordinal in range(1, cluster.masters + 1):
            name = f"{cluster.name}-master-{ordinal}"
            _take(taken, spec["masters"], name, f"a master of cluster {show(cluster.name)}")
        for position, pool in enumerate(cluster.pools):
            for number, name in enumerate(pool.node_names):
                cursor = spec.at("nodePools", position, "names", number) if pool.names else None
                place = cursor or spec.at("nodePools", position, "name")
                _take(taken, place, name, f"a node of cluster {show(cluster.name)}")
    for lab_field in ("servers", "internet_hosts", "load_balancers"):
        for item in getattr(index.lab, lab_field):
            cursor = index.cursor(lab_field, item)["metadata"]["name"]
            _take(taken, cursor, item.name, f"{index.kind_of(lab_field)} {show(item.name)}")


def _take(taken: dict[str, str], cursor: Cursor, name: str, owner: str) -> None:
    if name in taken:
        what = f"the name {show(name)} is already that of {taken[name]}"
        cursor.fault(Code.NAME_DUPLICATE, what, "hosts of a lab have different names")
    taken.setdefault(name, owner)
