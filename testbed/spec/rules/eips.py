"""Elastic IPs and NAT gateways: one use for each address, one rule for each subnet and port."""

from __future__ import annotations

from ipaddress import IPv4Network

from testbed.model.cloud import CloudNatGateway, ElasticIp
from testbed.model.desired import NetworkModel
from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.faults import did_you_mean, show
from testbed.spec.index import Index
from testbed.spec.rules.pod_eips import pod_uses

MOST_DNAT_RULES = 200


def check_nat_gateways(index: Index) -> None:
    for gateway in index.lab.nat_gateways:
        spec = index.cursor("nat_gateways", gateway)["spec"]
        index.subnet(spec["subnet"], gateway.subnet)
        _check_snat(index, spec, gateway)
        _check_dnat(index, spec, gateway)
    for balancer in index.lab.load_balancers:
        index.elastic_ip(index.cursor("load_balancers", balancer)["spec"]["eip"], balancer.eip)


def _check_snat(index: Index, spec: Cursor, gateway: CloudNatGateway) -> None:
    vpc = index.by_name["vpcs"].get(gateway.vpc)
    covered: list[tuple[IPv4Network, str]] = []
    for position, rule in enumerate(gateway.snat_rules):
        cursor = spec.at("snatRules", position)
        index.elastic_ip(cursor["eip"], rule.eip)
        subnet = index.subnet(cursor["subnet"], rule.subnet)
        place = cursor["subnet"] if rule.subnet else cursor["cidr"]
        cidr = subnet.cidr if subnet else rule.cidr
        if subnet and gateway.vpc and subnet.vpc != gateway.vpc:
            what = f"subnet {show(subnet.name)} is in VPC {show(subnet.vpc)}"
            place.fault(Code.REFERENCE_WRONG, what, f"the gateway is in VPC {show(gateway.vpc)}")
        if rule.cidr and vpc and not any(rule.cidr.subnet_of(own) for own in vpc.cidrs):
            what = f"{rule.cidr} is not in vpc {vpc.name} {vpc.cidrs[0]}"
            place.fault(Code.CIDR_OUTSIDE, what)
        if cidr is None:
            continue
        for earlier, name in covered:
            if cidr == earlier or (cidr.overlaps(earlier) and not rule.cidr):
                what = f"{name} already has an SNAT rule"
                place.fault(Code.NAT_RULE, what, "one SNAT rule per subnet")
                break
        covered.append((cidr, f"subnet {show(rule.subnet)}" if rule.subnet else f"range {cidr}"))


def _check_dnat(index: Index, spec: Cursor, gateway: CloudNatGateway) -> None:
    if len(gateway.dnat_rules) > MOST_DNAT_RULES:
        what = f"{len(gateway.dnat_rules)} rules; a NAT gateway holds {MOST_DNAT_RULES}"
        spec["dnatRules"].fault(Code.NAT_RULE, what, on_key=True)
    opened: set[tuple[str, str, int]] = set()
    targets: set[tuple[str, str, int]] = set()
    for position, rule in enumerate(gateway.dnat_rules):
        cursor = spec.at("dnatRules", position)
        index.elastic_ip(cursor["eip"], rule.eip)
        _check_dnat_target(index, cursor["target"], gateway, rule.target)
        front = (rule.eip, rule.protocol.value, rule.port)
        back = (rule.target, rule.protocol.value, rule.target_port)
        if front in opened:
            what = f"Duplicate value: {rule.eip}:{rule.port}/{rule.protocol.value}"
            cursor["port"].fault(Code.NAT_RULE, what, "one rule for each port of an elastic IP")
        elif back in targets:
            what = f"Duplicate value: {rule.target}:{rule.target_port}/{rule.protocol.value}"
            cursor["targetPort"].fault(Code.NAT_RULE, what, "one rule for each port of a server")
        opened.add(front)
        targets.add(back)


def _check_dnat_target(index: Index, cursor: Cursor, gateway: CloudNatGateway, target: str) -> None:
    kind, _, name = target.partition("/")
    vpc = None
    if kind == "Server":
        server = index.server(cursor["server"], name)
        subnet = index.by_name["subnets"].get(server.subnet) if server else None
        vpc = subnet.vpc if subnet else None
    else:
        home = index.node(cursor["node"], name)
        vpc = home[0].vpc if home else None
    if vpc and gateway.vpc and vpc != gateway.vpc:
        what = f"{kind.lower()} {show(name)} is in VPC {show(vpc)}"
        cursor.fault(Code.REFERENCE_WRONG, what, f"the gateway is in VPC {show(gateway.vpc)}", on_key=True)


def check_elastic_ips(index: Index) -> None:
    bound: dict[str, str] = {}
    uses = _other_uses(index)
    for eip in index.lab.elastic_ips:
        if eip.bound_to is None:
            continue
        cursor = index.cursor("elastic_ips", eip)["spec"]["boundTo"]
        _check_bound_to(index, cursor, eip)
        if eip.bound_to in bound:
            what = f"{eip.bound_to} already has the elastic IP {show(bound[eip.bound_to])}"
            cursor.fault(Code.EIP_BOUND, what, "one elastic IP for each object", on_key=True)
        bound.setdefault(eip.bound_to, eip.name)
        others = [use for use in uses.get(eip.name, ()) if use != eip.bound_to]
        if others:
            what = f"elastic IP {show(eip.name)} is bound to {eip.bound_to} and used by {others[0]}"
            cursor.fault(Code.EIP_BOUND, what, "an elastic IP has one use", on_key=True)
    for name, users in uses.items():
        if len(set(users)) > 1 and name in index.by_name["elastic_ips"]:
            eip = index.by_name["elastic_ips"][name]
            what = f"elastic IP {show(name)} is used by {' and '.join(sorted(set(users)))}"
            index.cursor("elastic_ips", eip)["spec"].fault(Code.EIP_BOUND, what, "an elastic IP has one use")


def _other_uses(index: Index) -> dict[str, list[str]]:
    """Elastic IP -> the gateways, load balancers and pods that name it. One gateway may use it for several rules."""
    uses: dict[str, list[str]] = {}
    for gateway in index.lab.nat_gateways:
        eips = [rule.eip for rule in gateway.snat_rules] + [rule.eip for rule in gateway.dnat_rules]
        for eip in eips:
            uses.setdefault(eip, []).append(f"NatGateway/{gateway.name}")
    for balancer in index.lab.load_balancers:
        if balancer.eip:
            uses.setdefault(balancer.eip, []).append(f"LoadBalancer/{balancer.name}")
    for eip, user in pod_uses(index):
        uses.setdefault(eip, []).append(user)
    return uses


def _check_bound_to(index: Index, cursor: Cursor, eip: ElasticIp) -> None:
    kind, _, name = (eip.bound_to or "").partition("/")
    match kind:
        case "Server":
            index.server(cursor["server"], name)
        case "Node":
            index.node(cursor["node"], name)
        case "LoadBalancer":
            index.load_balancer(cursor["loadBalancer"], name)
        case _:
            _check_pod(index, cursor["pod"], name)


def _check_pod(index: Index, cursor: Cursor, name: str) -> None:
    models = {cluster.name: cluster.model for cluster in index.lab.clusters}
    pods = {f"{pod.namespace}/{pod.name}": pod.cluster for pod in index.lab.pods}
    for item in index.lab.stateful_sets:
        pods |= {f"{item.namespace}/{item.name}-{i}": item.cluster for i in range(item.replicas)}
    if name not in pods:
        if not any(kind in ("Pod", "StatefulSet", "Cluster") for kind, _ in index.refused):
            hint = did_you_mean(name, pods) or "only bare pods and those of StatefulSets have lasting names"
            cursor.fault(Code.REFERENCE_UNKNOWN, f"pod {show(name)} does not exist", hint)
        return
    model = models.get(pods[name], NetworkModel.ENI)
    if model is not NetworkModel.ENI and not index.model_chosen:
        what = f'an elastic IP on a pod needs the eni network model; this cluster uses "{model.value}"'
        cursor.fault(Code.MODEL_MISMATCH, what, "bind it to the pod's node")
