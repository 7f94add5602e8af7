"""Bare-metal nodes: a pod's ENI is its own interface, and Services come by a second one."""

from __future__ import annotations

from testbed.scenario import Checks, Host, RunningLab, scenario

ECHO = 8080
POOLS = "nodePools: [{name: node, names: [n1, n2]}, {name: metal, names: [m1], bareMetal: true, enis: 3}]"

METAL = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: metal}}
spec:
  serviceName: metal
  replicas: {replicas}
  selector: {{matchLabels: {{app: metal}}}}
  template:
    metadata: {{labels: {{app: metal}}}}
    spec:
      nodeName: m1
      containers: [{{name: echo, image: echo, ports: [{{containerPort: 8080}}]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: metal}}
spec:
  selector: {{app: metal}}
  ports: [{{port: 80, targetPort: 8080}}]
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080}}]
"""

GUARDED = """
apiVersion: cnlab.dev/v1
kind: SecurityGroup
metadata: {name: silent}
spec: {vpc: demo, ingress: []}
---
apiVersion: v1
kind: Pod
metadata:
  name: guarded
  annotations: {yangtse.io/security-group-ids: silent, yangtse.io/pod-with-eip: "true"}
spec:
  nodeName: m1
  containers: [{name: echo, image: echo, ports: [{containerPort: 8080}]}]
"""


@scenario("topologies/peered.yaml", models=("eni",))
def bare_metal(lab: RunningLab, checks: Checks) -> None:
    """Bare-metal nodes: exclusive ENIs"""
    lab.set_cluster(POOLS)
    lab.apply(METAL.format(replicas=2))
    lab.wait_ready()
    one, other = lab.pods("app=metal")
    its_own_eni(lab, checks, one)
    pod_to_pod(lab, checks, one, other)
    services(lab, checks, one)
    with one.connection(lab.host("vm-2").address, ECHO) as long_lived:
        guarded(lab, checks, one)
        quota(lab, checks)
        checks.that(15, "a connection made before all that", long_lived.alive(), "alive", long_lived.state)


def its_own_eni(lab: RunningLab, checks: Checks, pod: Host) -> None:
    nics = {nic.address: nic for nic in lab.nics("m1")}
    checks.that(14, "a pod's address is that of an ENI without a VLAN", nics[pod.address].vlan is None, "no VLAN",
                f"{pod.address}, VLAN {nics[pod.address].vlan}")  # fmt: skip
    shown = lab.run(pod, "ip", "-brief", "link", "show", "eth0").stdout.split()[2]
    checks.that(14, "the ENI is its interface", shown.startswith("fa:16:3e:"), "MAC fa:16:3e:...", shown)
    carrier = lab.run(lab.node("m1"), "ip", "link", "show", "eth1")
    checks.that(14, "and its node has no carrier", carrier.returncode != 0, "no eth1", carrier.stderr.strip())


def pod_to_pod(lab: RunningLab, checks: Checks, one: Host, other: Host) -> None:
    distant, server = lab.pods("app=web", node="n1")[0], lab.host("vm-2")
    with lab.capture("m1/eth0", "metal-1/eth0") as wire:
        seen = one.http(other.address, ECHO)
    checks.allowed(15, "pod to pod on one node", seen, source=one.address, server=other.name)
    frames = wire.between(str(one.address), str(other.address))
    places = {frame.place for frame in frames}
    checks.that(15, "from ENI to ENI, past the node", places == {"metal-1/eth0"}, "seen at the pod alone",
                f"seen at {', '.join(sorted(places)) or 'no place'}", frames[:2])  # fmt: skip
    tagged = [frame for frame in frames if frame.vlan is not None]
    checks.equal(15, "without a tag", len(tagged), 0, tagged)
    seen = one.http(distant.address, ECHO)
    checks.allowed(15, "to a pod with a sub-ENI", seen, source=one.address, server=distant.name)
    seen = distant.http(one.address, ECHO)
    checks.allowed(15, "and from there", seen, source=distant.address, server=one.name)
    seen = server.http(one.address, ECHO)
    checks.allowed(23, "a VPC server to the pod", seen, source=server.address, server=one.name)
    checks.allowed(26, "the pod to a VPC server", one.http(server.address, ECHO), source=one.address)


def services(lab: RunningLab, checks: Checks, pod: Host) -> None:
    web, metal = lab.service("web").cluster_ip, lab.service("metal").cluster_ip
    with lab.capture("metal-0/eth1") as wire:
        seen = pod.http(web, 80)
    checks.allowed(0, "the pod to a Service", seen, server=[host.name for host in lab.pods("app=web")])
    frames = wire.between(str(pod.address), web)
    checks.that(0, "by its second interface, to the node's switch", bool(frames), f"frames to {web}",
                f"{len(frames)} frames", frames[:2])  # fmt: skip
    client = lab.pods("app=web", node="n2")[0]
    seen = client.http(metal, 80)
    checks.allowed(41, "a pod to a Service of such pods", seen, source=client.address, server=["metal-0", "metal-1"])


def guarded(lab: RunningLab, checks: Checks, neighbour: Host) -> None:
    lab.apply(GUARDED)
    lab.wait_ready()
    pod, server, inet = lab.pod("guarded"), lab.host("vm-2"), lab.host("inet")
    checks.dropped(38, "its security group lets nothing in: its neighbour", neighbour.http(pod.address, ECHO))
    checks.dropped(38, "a VPC server", server.http(pod.address, ECHO))
    seen = pod.http(server.address, ECHO)
    checks.allowed(38, "replies to its own connections come in", seen, source=pod.address)
    (eip,) = (str(eip.address) for eip in lab.memory.eips if eip.bound_to == pod.owner)
    checks.allowed(83, "to the internet by its own elastic IP", pod.http(inet.address, ECHO), source=eip)
    checks.dropped(83, "its neighbour has none", neighbour.http(inet.address, ECHO))


def quota(lab: RunningLab, checks: Checks) -> None:
    lab.apply(METAL.format(replicas=3))
    reason = lab.pending().get("metal-2", "it runs")
    checks.that(18, "the flavour's 3 ENIs are used up: the next pod waits", "no free ENIs" in reason,
                "Pending: no free ENIs", reason)  # fmt: skip
    lab.delete("pod/guarded")
    lab.wait_ready()
    late = lab.pod("metal-2")
    checks.allowed(18, "until another pod's ENI is free", lab.pod("metal-0").http(late.address, ECHO), server=late.name)
    bound = len(lab.nics("m1"))
    checks.equal(16, "no ENI is bound ahead of its pod", bound, 3)
