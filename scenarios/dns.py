"""Names of Services and pods, as pods ask for them: by their own resolv.conf, at the cluster's own DNS server."""

from __future__ import annotations

from testbed.scenario import Checks, Host, RunningLab, scenario

NEW_SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: new}
spec:
  selector: {app: db}
  ports: [{port: 80, targetPort: 8080}]
"""


@scenario("topologies/dns.yaml")
def dns(lab: RunningLab, checks: Checks) -> None:
    """Names of Services, pods and hosts outside"""
    here, other = lab.pod("shell-1"), lab.pod("shell-2", "shop")
    services(lab, checks, here, other)
    headless(lab, checks, here)
    outside(lab, checks, here)
    readiness(lab, checks, here)
    nobody_ready(lab, checks, here)
    nobody(lab, checks, here)


def services(lab: RunningLab, checks: Checks, here: Host, other: Host) -> None:
    front = lab.service("front")
    checks.equal(0, "a Service by its short name is its ClusterIP", ask(lab, here, "front"), front.cluster_ip)
    checks.equal(0, "from another namespace, with its own", ask(lab, other, "front.default"), front.cluster_ip)
    checks.equal(0, "but not without", ask(lab, other, "front"), "NXDOMAIN")
    checks.equal(0, "by TCP", ask(lab, here, "front", tcp=True), front.cluster_ip)
    name = "front.default.svc.cluster.local."
    checks.equal(0, "a named port", ask(lab, here, "_http._tcp.front", "SRV"), f"0 100 80 {name}")
    checks.equal(0, "and the way back", ask(lab, here, front.cluster_ip, "PTR"), name)
    lab.apply(NEW_SERVICE)
    milliseconds = lab.until_name(here, "new", lab.service("new").cluster_ip)
    checks.that(0, "a new Service has a name", milliseconds < 1000, "within a second", f"after {milliseconds:.0f} ms")
    lab.delete("service/new")
    milliseconds = lab.until_name(here, "new", "NXDOMAIN")
    checks.that(0, "which ends with it", milliseconds < 1000, "within a second", f"after {milliseconds:.0f} ms")


def headless(lab: RunningLab, checks: Checks, here: Host) -> None:
    pods = lab.pods("app=db")
    checks.equal(64, "a headless Service is its pods", ask(lab, here, "db"), addresses(pods))
    for pod in pods[:2]:
        checks.equal(64, f"{pod}.db is that pod", ask(lab, here, f"{pod}.db"), str(pod.address))
    targets = ", ".join(f"0 100 8080 {pod}.db.default.svc.cluster.local." for pod in pods)
    checks.equal(64, "a named port is one of each pod", ask(lab, here, "_http._tcp.db", "SRV"), targets)
    name = "db-0.db.default.svc.cluster.local."
    back = ask(lab, here, str(pods[0].address), "PTR")
    checks.that(64, "a pod's address leads back to its name", name in back.split(", "), name, back)
    answer = lab.run(here, "curl", "-s", "-m", "5", "db-1.db:8080").stdout
    checks.that(64, "and the pod answers by it", '"name": "db-1"' in answer, "db-1", answer[:15] or "nobody")


def outside(lab: RunningLab, checks: Checks, here: Host) -> None:
    inet = lab.host("inet")
    checks.equal(0, "an ExternalName is an alias", ask(lab, here, "outside"), f"{inet.address}, inet.")
    checks.equal(0, "a host outside has its name", ask(lab, here, "inet"), str(inet.address))
    checks.equal(0, "any other name does not exist", ask(lab, here, "nosuch.example"), "NXDOMAIN")


def readiness(lab: RunningLab, checks: Checks, here: Host) -> None:
    pods = lab.pods("app=db")
    pods[0].post("/fail")
    lab.until_endpoints("front", 2)
    lab.until_name(here, "db", addresses(pods[1:]))
    checks.equal(63, "a pod that is not ready leaves the name", ask(lab, here, "db"), addresses(pods[1:]))
    checks.equal(63, "publishNotReadyAddresses keeps it", ask(lab, here, "peers"), addresses(pods))
    pods[0].post("/recover")
    lab.until_endpoints("front", 3)
    lab.until_name(here, "db", addresses(pods))
    checks.equal(63, "and it comes back", ask(lab, here, "db"), addresses(pods))


def nobody_ready(lab: RunningLab, checks: Checks, here: Host) -> None:
    pods = lab.pods("app=db")
    for pod in pods:
        pod.post("/fail")
    lab.until_endpoints("front", 0)
    lab.until_name(here, "db", "NXDOMAIN")
    checks.equal(64, "without a ready pod the name does not exist", ask(lab, here, "db"), "NXDOMAIN")
    checks.equal(64, "nor does a pod's own", ask(lab, here, "db-0.db"), "NXDOMAIN")
    checks.equal(63, "publishNotReadyAddresses keeps them all", ask(lab, here, "peers"), addresses(pods))


def nobody(lab: RunningLab, checks: Checks, here: Host) -> None:
    lab.scale("statefulset", "db", 0)
    lab.until_name(here, "db", "NXDOMAIN")
    checks.equal(64, "without pods the name does not exist", ask(lab, here, "db"), "NXDOMAIN")
    checks.equal(0, "the name of a Service with an address stays", ask(lab, here, "front"),
                 lab.service("front").cluster_ip)  # fmt: skip


def ask(lab: RunningLab, host: Host, name: str, kind: str = "A", tcp: bool = False) -> str:
    return str(lab.lookup(host, name, kind, tcp))


def addresses(pods: list[Host]) -> str:
    return ", ".join(sorted(str(pod.address) for pod in pods))
