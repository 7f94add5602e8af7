"""The rules over a whole lab. Each takes the index, reports at the user's lines, and changes nothing."""

from __future__ import annotations

from testbed.spec.index import Index
from testbed.spec.rules.capacity import check_capacity
from testbed.spec.rules.clusters import check_clusters
from testbed.spec.rules.eips import check_elastic_ips, check_nat_gateways
from testbed.spec.rules.fixed_addresses import check_fixed_addresses
from testbed.spec.rules.groups import check_security_groups
from testbed.spec.rules.hosts import check_host_names
from testbed.spec.rules.immutable import check_immutable
from testbed.spec.rules.ingresses import check_ingresses
from testbed.spec.rules.networks import check_networks, check_peerings
from testbed.spec.rules.pod_eips import check_pod_eips
from testbed.spec.rules.policies import check_policies
from testbed.spec.rules.routes import check_route_tables
from testbed.spec.rules.services import check_endpoint_slices, check_services
from testbed.spec.rules.workloads import check_workloads

__all__ = ["check_immutable", "check_rules"]

_RULES = (
    check_networks,
    check_peerings,
    check_route_tables,
    check_security_groups,
    check_fixed_addresses,
    check_nat_gateways,
    check_elastic_ips,
    check_clusters,
    check_capacity,
    check_host_names,
    check_workloads,
    check_pod_eips,
    check_services,
    check_endpoint_slices,
    check_ingresses,
    check_policies,
)


def check_rules(index: Index) -> None:
    """All rules, from the ground up."""
    for check in _RULES:
        check(index)
