"""Ingress by host and path: one address, many Services, and which rule wins."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.guide import Command, Finding, Guide, RunningLab, Step, expect, settle

SHOP = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  annotations: {kubernetes.io/elb.id: elb}
spec:
  rules:
  - host: shop.test
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: a, port: {number: 80}}}}
      - {path: /cart, pathType: Prefix, backend: {service: {name: b, port: {number: 80}}}}
      - {path: /cart/pay, pathType: Exact, backend: {service: {name: c, port: {number: 80}}}}
"""

ROWS = (("/", "a"), ("/cartoon", "a"), ("/cart", "b"), ("/cart/2", "b"), ("/cart/pay", "c"), ("/cart/pay/now", "b"))
"""Path of the request, and the Service whose pod has to answer."""

SETTLE = 3.0
"""Seconds for the balancer to take over a rule that was just applied."""


def check(lab: RunningLab) -> Iterator[Finding]:
    client, elb = lab.host("vm-1"), lab.host("elb")

    def service(path: str) -> str:
        seen = client.http(elb.address, 80, path, "shop.test")
        return seen.server.partition("-")[0] or seen.detail or str(seen)

    if any(ingress.name == "shop" for ingress in lab.memory.lab.ingresses):
        settle(lambda: service("/cart/pay") == "c", SETTLE)
    for path, wanted in ROWS:
        found = service(path)
        rule = f"an Ingress for the host shop.test has to send {path} to Service {wanted}"
        yield expect(found == wanted, f"shop.test{path}: {found}", rule)


GUIDE = Guide(
    title="Ingress by host and path",
    goal="send requests for different hosts and paths to Services behind one address, and know which rule wins.",
    picture="""
  vm-1 --> elb 192.168.1.2:80   HAProxy reads which host, which path
         a.test   /     --> Service a --> node port --> a-0, a-1, a-2
         two.test /     --> Service b --> node port --> b
         two.test /aaa  --> Service c --> node port --> c
         anything else  --> 404, by the balancer itself
""",
    topology="topologies/ingress.yaml",
    model="tunnel",
    steps=(
        Step(
            "The rules: Ingresses name hosts and paths; the balancer's annotation says where they are served.",
            (
                Command("lab get ingress hosts", shows=("a.test",)),
                Command("lab describe ingress paths | grep two.test/", shows=("/aaa",)),
                Command("lab get lb", shows=("80/HTTP",)),
            ),
            "the balancer listens on port 80 as a proxy: it ends the client's connection, reads the request and begins "
            "one of its own to a node.",
        ),
        Step(
            "One address, three hosts.",
            (
                Command(
                    "lab exec vm-1 -- curl -sf -m 5 --retry 5 --retry-all-errors -H 'Host: a.test' {elb}/hostname",
                    shows=("a-",),
                ),
                Command("lab exec vm-1 -- curl -s -m 5 -H 'Host: two.test' {elb}/hostname", shows=("b",)),
                Command(
                    "lab exec vm-1 -- curl -s -m 5 -o /dev/null -w '%{http_code}' -H 'Host: nobody.test' {elb}/",
                    shows=("404",),
                ),
            ),
            "only the Host header differs. A host without a rule gets 404 from the balancer; no pod hears of it.",
        ),
        Step(
            "One host, two paths: / leads to b, /aaa to c.",
            (
                Command("lab exec vm-1 -- curl -s -m 5 -H 'Host: two.test' {elb}/aaa/bbb", shows=('"name": "c"',)),
                Command("lab exec vm-1 -- curl -s -m 5 -H 'Host: two.test' {elb}/aaaa", shows=('"name": "b"',)),
            ),
            "the longest path wins, and a prefix counts whole elements: /aaa is one of /aaa/bbb and none of /aaaa.",
        ),
        Step(
            "Exact and Prefix for the same path.",
            (
                Command("lab exec vm-1 -- curl -s -m 5 -H 'Host: both.test' {elb}/foo", shows=('"name": "c"',)),
                Command("lab exec vm-1 -- curl -s -m 5 -H 'Host: both.test' {elb}/foo/", shows=('"name": "b"',)),
            ),
            "Exact comes before Prefix, and is exact: with a slash more it is another path.",
        ),
        Step(
            "Whom does the pod see? Service near keeps the source of what comes to a node.",
            (
                Command(
                    "lab exec vm-1 -- curl -s -m 5 -H 'Host: near.test' {elb}/",
                    shows=('"client": "192.168.1.2:', '"x-forwarded-for": "192.168.1.'),
                ),
            ),
            "the connection is the balancer's, so it is seen as the client. Who really asked is in X-Forwarded-For.",
        ),
    ),
    questions=(
        (
            "Why can a security group or a NetworkPolicy not tell two.test/ from two.test/aaa?",
            "They see addresses and ports. Host and path are inside the connection, which only the proxy reads.",
        ),
        (
            "Which of the two is asked for first: the host or the longest path?",
            "The host. Rules of another host do not count, however well their path fits.",
        ),
    ),
    task="make an Ingress on elb for the host shop.test: everything to Service a, /cart and what is below it to b, and "
    "exactly /cart/pay to c.",
    hint="lab get ing paths -o yaml shows how such an object looks. Three paths: / and /cart as Prefix, /cart/pay as "
    "Exact; the annotation kubernetes.io/elb.id: elb.",
    solution=(Command("lab apply -f -", SHOP),),
    check=check,
)
