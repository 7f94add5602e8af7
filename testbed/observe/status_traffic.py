"""Items of what brings traffic to pods and keeps it away: endpoints, Ingresses, balancers, policies, secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from testbed.model.cloud import ElbClass
from testbed.model.desired import Listener
from testbed.model.kubernetes import LabelSelector
from testbed.model.planning.elb import balancer_name
from testbed.model.planning.ingress import listener_port
from testbed.observe.status import View
from testbed.observe.status_items import NONE, Item, columns, document, listed, resource


def endpoints(view: View) -> Iterator[Item]:
    """What each port of a Service leads to now, whoever said so: a selector or a slice of the user's."""
    sources = {f"{service.namespace}/{service.name}": service.source for service in view.memory.lab.services}
    for cluster in view.clusters.clusters:
        for port in cluster.services:
            namespace, _, name = port.service.partition("/")
            ready = [f"{end.address}:{end.port}" for end in port.endpoints if end.ready]
            leaving = [f"{end.address}:{end.port}" for end in port.endpoints if not end.ready]
            shown = f"{name}:{port.name}" if port.name else name
            cells = (f"{port.port}/{port.protocol.value.upper()}", listed(ready), listed(leaving))
            status = {"port": port.port, "protocol": port.protocol.value, "ready": ready, "notReady": leaving}
            source = sources.get(port.service)
            text = document("EndpointSlice", shown, source, namespace, status=status)
            yield Item(shown, cells, text, port.owner, namespace, source)


def ingresses(view: View) -> Iterator[Item]:
    """With the address of the balancer that serves each: its elastic IP, if it has one, as well."""
    balancers = {balancer.name: balancer for balancer in view.fabric.load_balancers}
    for ingress in view.memory.lab.ingresses:
        hosts = [rule.host or "*" for rule in ingress.rules]
        paths = [
            f"{rule.host or '*'}{path.path} ({path.path_type}) -> {path.backend.service}:{path.backend.port}"
            for rule in ingress.rules
            for path in rule.paths
        ]
        balancer = balancers.get(balancer_name(ingress) or "")
        addresses = [str(at) for at in (balancer.address, balancer.eip) if at] if balancer else []
        port, _ = listener_port(ingress)
        cells = (ingress.class_name or NONE, listed(hosts), listed(addresses), str(port), listed(paths))
        default = ingress.default_backend
        status = {
            "loadBalancer": {"ingress": [{"ip": address} for address in addresses]},
            "balancer": balancer.name if balancer else None,
            "port": port,
            "hosts": hosts,
            "paths": paths,
            "defaultBackend": f"{default.service}:{default.port}" if default else None,
            "tls": [f"{entry.secret} for {listed(entry.hosts) if entry.hosts else 'all'}" for entry in ingress.tls],
        }
        text = document("Ingress", ingress.name, ingress.source, ingress.namespace, status=status)
        owner = f"Ingress/{ingress.namespace}/{ingress.name}"
        yield Item(ingress.name, cells, text, owner, ingress.namespace, ingress.source)


def load_balancers(view: View) -> Iterator[Item]:
    """The lab's own LoadBalancer objects, and those that Services and Ingresses have had made."""
    written = {balancer.name: balancer for balancer in view.memory.lab.load_balancers}
    for live in view.fabric.load_balancers:
        balancer = written.get(live.name)
        elb_class = ElbClass.SHARED if live.snat_address else ElbClass.DEDICATED
        subnet = next(subnet for subnet in view.memory.lab.subnets if subnet.name == live.subnet)
        listeners = [f"{each.port}/{each.protocol.value.upper()}" for each in live.listeners]
        listeners += _of_ingresses(view, live.name)
        members = sum(len(each.members) for each in live.listeners)
        address, eip = str(live.address), str(live.eip or NONE)
        cells = (elb_class.value, subnet.vpc, address, eip, listed(listeners), str(members))
        status = {"address": address, "eip": eip, "listeners": [_listener(each) for each in live.listeners]}
        spec = {"class": elb_class.value, "vpc": subnet.vpc, "subnet": live.subnet}
        source = balancer.source if balancer else None
        text = document("LoadBalancer", live.name, source, spec=spec, status=status)
        yield Item(live.name, cells, text, live.owner, source=source)


def _of_ingresses(view: View, balancer: str) -> list[str]:
    served = {listener_port(item) for item in view.memory.lab.ingresses if balancer_name(item) == balancer}
    return [f"{port}/{'HTTPS' if secure else 'HTTP'}" for port, secure in sorted(served)]


def _listener(listener: Listener) -> dict[str, Any]:
    return {
        "port": listener.port,
        "protocol": listener.protocol.value.upper(),
        "for": listener.owner,
        "algorithm": listener.algorithm,
        "members": [f"{member.owner} {member.address}:{member.port}" for member in listener.members],
    }


def network_policies(view: View) -> Iterator[Item]:
    for policy in view.memory.lab.network_policies:
        directions = [name for name in ("ingress", "egress") if getattr(policy, name) is not None]
        rules = [f"{name} {len(getattr(policy, name))} rules" for name in directions]
        selector = _selector(policy.selector)
        status = {"podSelector": selector, "policyTypes": directions}
        text = document("NetworkPolicy", policy.name, policy.source, policy.namespace, status=status)
        owner = f"NetworkPolicy/{policy.namespace}/{policy.name}"
        yield Item(policy.name, (selector, listed(rules)), text, owner, policy.namespace, policy.source)


def secrets(view: View) -> Iterator[Item]:
    """Names only: what is in them is never shown."""
    for secret in view.memory.lab.secrets:
        text = document("Secret", secret.name, secret.source, secret.namespace, status={"type": "kubernetes.io/tls"})
        owner = f"Secret/{secret.namespace}/{secret.name}"
        yield Item(secret.name, ("kubernetes.io/tls",), text, owner, secret.namespace, secret.source)


def _selector(selector: LabelSelector) -> str:
    terms = [f"{key}={value}" for key, value in selector.match_labels]
    terms += [f"{term.key} {term.operator} {'|'.join(term.values)}".rstrip() for term in selector.expressions]
    return listed(terms) if terms else "<all>"


RESOURCES = (
    resource("endpointslices", columns("PORT", "ENDPOINTS", wide=("NOT-READY",), flexible=("ENDPOINTS",)), endpoints),
    resource(
        "ingresses",
        columns("CLASS", "HOSTS", "ADDRESS", "PORTS", wide=("PATHS",), flexible=("HOSTS", "PATHS")),
        ingresses,
    ),
    resource("networkpolicies", columns("POD-SELECTOR", "RULES"), network_policies),
    resource("secrets", columns("TYPE"), secrets),
    resource("loadbalancers", columns("CLASS", "VPC", "ADDRESS", "EIP", "LISTENERS", "MEMBERS"), load_balancers),
)
