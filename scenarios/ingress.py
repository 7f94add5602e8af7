"""Ingress by the proxy of a load balancer: who answers for a host and path, by which certificate, and without a gap."""

from __future__ import annotations

import json

from testbed.scenario import Checks, Host, Load, RunningLab, scenario

LIMIT = 10.0
PODS = ("a-0", "a-1", "a-2")
ROWS = (
    ("root.test", "/anything", "b"),
    ("exact.test", "/foo", "b"),
    ("exact.test", "/bar", ""),
    ("exact.test", "/foo/", ""),
    ("exact.test", "/FOO", ""),
    ("exact-slash.test", "/foo", ""),
    ("prefix.test", "/foo", "b"),
    ("prefix.test", "/foo/", "b"),
    ("prefix-slash.test", "/foo", "b"),
    ("prefix-slash.test", "/foo/", "b"),
    ("bb.test", "/aaa/bbb", ""),
    ("bbb.test", "/aaa/bbb", "b"),
    ("bbb-slash.test", "/aaa/bbb", "b"),
    ("bbb.test", "/aaa/bbb/", "b"),
    ("bbb.test", "/aaa/bbb/ccc", "b"),
    ("bbb.test", "/aaa/bbbxyz", ""),
    ("two.test", "/aaa/ccc", "c"),
    ("three.test", "/aaa/bbb", "c"),
    ("three.test", "/ccc", "b"),
    ("aaa.test", "/ccc", ""),
    ("both.test", "/foo", "c"),
)
"""Host (a rule set of its own), path of the request, and the pod that answers; "" is 404."""


@scenario("topologies/ingress.yaml")
def ingress(lab: RunningLab, checks: Checks) -> None:
    """HTTP and HTTPS by host and path through a load balancer"""
    client, elb = lab.host("vm-1"), lab.host("elb")
    lab.wait_ready()
    for host, server in (("root.test", "b"), ("two.test", "b"), ("both.test", "b")):
        until_answered(lab, client, elb, host, "/foo/", server)
    paths(checks, client, elb)
    hosts(checks, client, elb)
    forwarded(lab, checks, elb)
    by_a_shared_balancer(lab, checks, client)
    rejected(lab, checks, client, elb)
    order(lab, checks, client)
    tls(lab, checks, client, elb)
    under_load(lab, checks, client, elb)


def paths(checks: Checks, client: Host, elb: Host) -> None:
    for host, path, server in ROWS:
        seen = client.http(elb.address, 80, path, host)
        answer = seen.server or status(seen.detail)
        checks.equal(70, f"{host}{path}", answer, server or "404")


def hosts(checks: Checks, client: Host, elb: Host) -> None:
    for host, server in (("bar.foo.com", "b"), ("baz.bar.foo.com", ""), ("foo.com", "")):
        seen = client.http(elb.address, 80, "/", host)
        checks.equal(71, f"*.foo.com and {host}", seen.server or status(seen.detail), server or "404")


def forwarded(lab: RunningLab, checks: Checks, elb: Host) -> None:
    """The pod's peer is the balancer where no node stands between them."""
    host = "a.test" if lab.model == "eni" else "near.test"
    lab.until(lambda: lab.host("vm-1").http(elb.address, 80, "/", host).server, LIMIT, f"{host} to be answered")
    for name, address, path in (("vm-1", str(elb.address), "VPC server to Ingress"),
                                ("inet", "198.51.100.30", "internet to Ingress")):  # fmt: skip
        client = lab.host(name)
        seen = client.http(address, 80, "/", host)
        checks.allowed(
            73, f"{name} by the Ingress: the pod's peer is the balancer", seen, source=elb.address, path=path
        )
        header = json.loads(seen.body)["headers"].get("x-forwarded-for", "nothing")
        checks.equal(73, "and X-Forwarded-For is the client", header, str(client.address))


SHARED = """
apiVersion: cnlab.dev/v1
kind: LoadBalancer
metadata: {name: elb-shared}
spec: {subnet: servers, class: shared}
"""


def by_a_shared_balancer(lab: RunningLab, checks: Checks, client: Host) -> None:
    """It asks its members, always nodes, with an address of 100.125.0.0/16, which a pod sees if the node hides none."""
    service = "b" if lab.model == "eni" else "near"
    lab.apply(SHARED + simple("by-shared", "elb-shared", "/", "Prefix", service, host="shared.test"))
    elb = lab.host("elb-shared")
    until_answered(lab, client, elb, "shared.test", "/", *PODS, "b")
    with lab.capture("node-1/eth0", "node-2/eth0") as wire:
        seen = client.http(elb.address, 80, "/", "shared.test")
    asked = wire.where(lambda frame: frame.source.startswith("100.125.") and frame.info == "PA")
    checks.that(73, "a shared balancer's proxy asks a node as 100.125.x.x", bool(asked), "100.125.0.0/16 > a node",
                f"{len(asked)} requests", asked[:1])  # fmt: skip
    nodes = {str(node.address) for node in lab.nodes()}
    shown = seen.client in nodes if lab.model == "eni" else seen.client.startswith("100.125.")
    checks.that(73, "and the pod sees", shown, "a node" if lab.model == "eni" else "100.125.0.0/16", str(seen))
    header = json.loads(seen.body)["headers"].get("x-forwarded-for", "nothing")
    checks.equal(73, "while X-Forwarded-For is the client", header, str(client.address))


def rejected(lab: RunningLab, checks: Checks, client: Host, elb: Host) -> None:
    text = simple("cluster-ip", "elb", "/", "Prefix", "inside", host="inside.test")
    if lab.model == "eni":
        lab.apply(text)
        until_answered(lab, client, elb, "inside.test", "/", *PODS)
        seen = client.http(elb.address, 80, "/", "inside.test")
        checks.allowed(74, "a ClusterIP Service behind a dedicated balancer", seen, source=elb.address, server=PODS)
    else:
        reason = lab.refusal(text)
        checks.that(74, "a ClusterIP Service behind a balancer of nodes", "no node port" in reason, "refused",
                    reason.splitlines()[0] if reason else "taken")  # fmt: skip


def order(lab: RunningLab, checks: Checks, client: Host) -> None:
    """Prefix /a first and exact /a then: precedence decides, or the time at which they were made."""
    for balancer, server, how in (("elb", "c", "by precedence"), ("elb-in-order", "b", "advanced forwarding")):
        at = lab.host(balancer)
        lab.apply(simple(f"{balancer}-first", balancer, "/a", "Prefix", "b"))
        lab.apply(simple(f"{balancer}-second", balancer, "/a", "Exact", "c"))
        answer = until_answered(lab, client, at, "order.test", "/a", server)
        checks.equal(75, f"prefix /a, then exact /a, {how}", answer, server)


def tls(lab: RunningLab, checks: Checks, client: Host, elb: Host) -> None:
    pairs = {name: make_pair(lab, client, name) for name in ("foo.bar.com", "default.test", "later.test")}
    secrets = "".join(secret(name, pem) for name, pem in pairs.items())
    lab.apply(secrets + secure("secure", ("default.test", ""), ("foo.bar.com", "foo.bar.com")))
    lab.apply(secure("later", ("later.test", "")))
    lab.until(lambda: lab.https(client, elb, "later.test", "foo.bar.com").server == "b", LIMIT, "HTTPS to be answered")
    for name, host, shown, server in (
        ("foo.bar.com", "foo.bar.com", "foo.bar.com", "b"),
        ("other.test", "foo.bar.com", "default.test", "b"),
        ("foo.bar.com", "wrong.test", "foo.bar.com", "404"),
    ):
        answer = lab.https(client, elb, name, host)
        title = f"SNI {name}, Host {host}"
        checks.equal(72, f"{title}: the certificate", answer.certificate, shown)
        checks.equal(72, f"{title}: the answer", answer.server or str(answer.status), server)
    shown = lab.https(client, elb, "nobody.test", "nobody.test").certificate
    checks.equal(76, "two default certificates on one port: the earliest Ingress's", shown, "default.test")
    lab.delete("ingress/secure")

    def certificate() -> str:
        return lab.https(client, elb, "nobody.test", "foo.bar.com").certificate

    lab.until(lambda: certificate() != "default.test", LIMIT, "the next Ingress to decide")
    checks.equal(76, "that Ingress deleted: the next one's", certificate(), "later.test")


def under_load(lab: RunningLab, checks: Checks, client: Host, elb: Host) -> None:
    with client.load(elb.address, 80, "a.test") as load:
        for number in range(3):
            lab.apply(simple("more", "elb", f"/{number}", "Prefix", "b", host="more.test"))
        lab.delete("ingress/more")
    checks.that(
        0, "reloads under load lose no request", not load.failed and load.answered > 0, "none failed", str(load)
    )
    with client.load(elb.address, 80, "a.test") as load:
        lab.delete("pod/a-0")
        lab.wait_ready()
        lab.scale("statefulset", "a", 1)
    unfailing(checks, "pods that go under load fail no request", load)


def unfailing(checks: Checks, title: str, load: Load) -> None:
    checks.that(0, title, not load.failed and load.answered > 0, "none failed", str(load))


def until_answered(lab: RunningLab, client: Host, elb: Host, host: str, path: str, *servers: str) -> str:
    """Who answers, once it is one of ``servers``: a new rule is in force within a moment, not at once."""

    def answered() -> bool:
        return client.http(elb.address, 80, path, host).server in servers

    lab.until(answered, LIMIT, f"{host}{path} to be answered by {' or '.join(servers)}")
    return client.http(elb.address, 80, path, host).server


def status(detail: str) -> str:
    """``404`` of ``HTTP/1.1 404 Not Found``."""
    return detail.split()[1] if detail.startswith("HTTP/") else detail


def simple(name: str, balancer: str, path: str, kind: str, service: str, host: str = "order.test") -> str:
    backend = f"{{service: {{name: {service}, port: {{number: 80}}}}}}"
    return f"""
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, annotations: {{kubernetes.io/elb.id: {balancer}}}}}
spec:
  rules: [{{host: {host}, http: {{paths: [{{path: {path}, pathType: {kind}, backend: {backend}}}]}}}}]
"""


def secure(name: str, *secrets: tuple[str, str]) -> str:
    """An Ingress on port 443; ``secrets``: (secret, the host that it is for or "")."""
    entries = ", ".join(f"{{secretName: {name}{f', hosts: [{host}]' if host else ''}}}" for name, host in secrets)
    return simple(name, "elb", "/", "Prefix", "b", host="foo.bar.com") + f"  tls: [{entries}]\n"


def make_pair(lab: RunningLab, client: Host, name: str) -> str:
    """A key and a certificate for ``name``, as PEM."""
    options = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    output = ("-keyout", "/dev/stdout", "-out", "/dev/stdout", "-subj", f"/CN={name}")
    return lab.run(client, "openssl", "req", "-x509", *options, *output).stdout


def secret(name: str, pem: str) -> str:
    key, certificate = pem.split("-----BEGIN CERTIFICATE-----")
    texts = {"tls.key": key, "tls.crt": "-----BEGIN CERTIFICATE-----" + certificate}
    return f"""
---
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: {{name: {name}}}
stringData: {json.dumps(texts)}
"""
