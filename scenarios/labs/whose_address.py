"""Why the server sees that address: where a pod's own address is kept and where its node's is put instead."""

from __future__ import annotations

from collections.abc import Iterator

from scenarios.parts.documents import peered_cluster
from testbed.guide import Command, Finding, Guide, RunningLab, Step, expect, expect_allowed

CLUSTER = peered_cluster(more="nonMasqueradeCIDRs: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/24]")


def check(lab: RunningLab) -> Iterator[Finding]:
    pod, node = lab.pod("web-0"), lab.node("n1")
    seen = pod.http(lab.host("vm-1").address, 8080)
    masquerade = "vm-1 must see the node: nonMasqueradeCIDRs of Cluster demo must not cover 192.168.1.0/24"
    yield expect_allowed("web-0 to vm-1", seen, masquerade, source=node.address)
    (group,) = (group for group in lab.memory.lab.security_groups if group.name == "nodes-only")
    sources = sorted(str(rule.cidr) for rule in group.rules if rule.direction.value == "ingress")
    yield expect(sources == ["192.168.0.0/24"], f"group nodes-only lets in {', '.join(sources)}", "leave it as it was")
    seen = node.http(lab.pod("web-1").address, 8080)
    keep = "192.168.0.0/24 has to stay in the list: else a pod's answers to nodes get another source"
    yield expect_allowed("n1 to web-1 on n2", seen, keep, source=node.address)


GUIDE = Guide(
    title="Why the server sees that address",
    goal="know whose address a server sees when a pod dials it, and who decides.",
    picture="""
  web-0            n1                               vm-1 (group nodes-only:
  172.16.0.2  -->  192.168.0.2  -->  the VPC  -->         192.168.0.0/24)
                     |                        \\-->  vm-2 (group open)
                   destination in nonMasqueradeCIDRs?
                     yes: the packet keeps 172.16.0.2
                     no:  the node's kernel puts 192.168.0.2
""",
    topology="topologies/peered.yaml",
    model="vpc",
    steps=(
        Step(
            "vm-2 says whom it sees.",
            (
                Command("lab exec web-0 -- curl -s -m 5 {vm-2}:8080/clientip", shows=("172.16.0.2:",)),
                Command("lab exec n1 -- curl -s -m 5 {vm-2}:8080/clientip", shows=("192.168.0.2:",)),
            ),
            "in the VPC network a pod shows its own address to private destinations: the VPC has a route back to it.",
        ),
        Step(
            "vm-1 lets only the nodes' subnet in.",
            (
                Command("lab exec n1 -- curl -s -m 5 {vm-1}:8080/clientip", shows=("192.168.0.2:",)),
                Command("lab exec web-0 -- curl -s -m 1 {vm-1}:8080/clientip", status=28),
                Command("lab trace web-0 vm-1 --port 8080 | head -4", shows=("dropped", "nodes-only")),
            ),
            "the pod's packet came to vm-1's ENI with 172.16.0.2 as its source, and no rule knows that address. In a "
            "tunnel network the same would have passed: there the node's address is put in its place.",
        ),
        Step(
            "Who keeps the address? The node's switch and kernel decide, by a list of the cluster.",
            (
                Command("lab exec n1 -- nft list chain ip cnlab postrouting", shows=("masquerade",)),
                Command("lab trace web-0 vm-2 --port 8080 --hops | grep -A 1 br-int", shows=("n1/br-int",)),
            ),
            "no list is written down, so the private ranges of RFC 1918 count. What is not on the list goes through "
            "the node's kernel, which masquerades.",
        ),
    ),
    questions=(
        (
            "Which servers of this lab would see n1's address when web-0 dials them?",
            "Those whose address is not on the list: with the default none of the VPC, but every host on the internet.",
        ),
        (
            "Why must the nodes' own subnet stay on the list?",
            (
                "A pod's answer to a node outside the list would be masqueraded too. It would come from another "
                "address than the node dialled, and the node would not take it for an answer."
            ),
        ),
    ),
    task="let web-0 reach vm-1 without touching any security group.",
    hint="apply Cluster demo with nonMasqueradeCIDRs: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/24].",
    solution=(Command("lab apply -f -", CLUSTER),),
    check=check,
)
