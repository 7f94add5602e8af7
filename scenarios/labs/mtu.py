"""MTU and black holes: small packets pass, large ones are never heard of again."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.guide import Command, Finding, Guide, RunningLab, Step, expect, expect_allowed
from testbed.scenario import Host

BULK = 200_000

NO_ERRORS = """\
table ip hardened {
  chain input {
    type filter hook input priority 0;
    icmp type destination-unreachable drop
  }
}
"""


def check(lab: RunningLab) -> Iterator[Finding]:
    pod, distant = lab.pod("web-0"), lab.pod("web-1")
    yield expect_allowed("web-0 pings web-1", pod.ping(distant.address), "lab trace web-0 web-1 tells where it ends")
    for client, server in ((pod, distant), (distant, pod)):
        yield bulk(client, server)


def bulk(client: Host, server: Host) -> Finding:
    seen = client.http(server.address, 8080, f"/bytes?n={BULK}", timeout=2.0)
    got = len(seen.body)
    lower = f"packets of {server} are too large for the tunnel: give its eth0 an MTU of 1450 or less"
    return expect(got == BULK, f"{client} downloads {BULK} bytes of {server}: {got} came ({seen.verdict})", lower)


GUIDE = Guide(
    title="MTU and black holes",
    goal="recognise a path on which large packets vanish, and find where they do.",
    picture="""
  web-0 eth0 MTU 1450                             web-1 eth0 MTU 1450
       |  1450 bytes                                   |
  n1 br-int + 50 bytes of VXLAN, UDP, IP          n2 br-int
       |      and Ethernet: 1500                       |
       +------ the VPC's wire, MTU 1500 ---------------+
""",
    topology="topologies/peered.yaml",
    model="tunnel",
    steps=(
        Step(
            "The largest packet that passes, with the don't-fragment bit set: 1422 bytes of data, 28 of headers.",
            (
                Command("lab exec web-0 -- ping -c 1 -W 5 -M do -s 1422 {web-1}", shows=("1 received",)),
                Command("lab exec web-0 -- ping -c 1 -W 1 -M do -s 1423 {web-1}", status=1, shows=("mtu=1450",)),
            ),
            "the pod's own kernel refuses the larger one, and says the limit. That is a good failure: whoever sent it "
            "knows.",
        ),
        Step(
            "Somebody reads that 1500 is faster, and raises the pods' interfaces and the switch ports behind them. "
            "Somebody else reads that ICMP is dangerous, and has the pods drop it when it says what did not arrive.",
            (
                Command("lab exec web-0 -- ip link set eth0 mtu 1500"),
                Command("lab exec n1 -- ip link set p100 mtu 1500"),
                Command("lab exec web-1 -- ip link set eth0 mtu 1500"),
                Command("lab exec n2 -- ip link set p100 mtu 1500"),
                Command("lab exec web-0 -- nft -f -", NO_ERRORS),
                Command("lab exec web-1 -- nft -f -", NO_ERRORS),
                Command("lab exec web-0 -- curl -s -m 5 {web-1}:8080/hostname", shows=("web-1",)),
            ),
            "a small request works. It all looks well.",
        ),
        Step(
            "And a large answer?",
            (
                Command("lab exec web-0 -- curl -s -m 2 -o /dev/null {web-1}:8080/bytes?n=200000", status=28),
                Command("lab exec web-0 -- ping -c 1 -W 1 -M do -s 1472 {web-1}", status=1, shows=("0 received",)),
                # Right now, 3 s on, the server repeats its first segment for the fourth time, and the userspace
                # datapath of Open vSwitch (3.1 to 3.7) loses with a packet that is too large all that it sends in the
                # same batch. One ping may meet it, three don't.
                Command("lab exec web-0 -- ping -c 3 -i 0.3 -W 1 -M do -s 1422 {web-1}", shows=("1430 bytes from",)),
            ),
            "the connection is made, the first bytes come, then nothing, and nobody says why: a black hole. The "
            "tunnel's headers make 1550 bytes of 1500, which the wire does not take. On the kernel's datapath the "
            "tunnel says so to the sender by ICMP (fragmentation needed, MTU 1450), and the pods throw it away; the "
            "userspace datapath tells nobody.",
        ),
    ),
    questions=(
        (
            "Why does lab trace say that web-0 reaches web-1?",
            "It follows one small packet. Connection set-up and pings pass a black hole; only full-size packets don't.",
        ),
        (
            "Only web-0's MTU is put right. Does a download from web-1 work?",
            (
                "Yes: in the handshake each side says the largest segment it takes, and web-0 says 1410. Traffic that "
                "has no such handshake, large UDP packets of web-1, would still be lost."
            ),
        ),
    ),
    task="make downloads work again in both directions between web-0 and web-1.",
    hint="lab exec POD -- ip link set eth0 mtu 1450, on both.",
    solution=(
        Command("lab exec web-0 -- ip link set eth0 mtu 1450"),
        Command("lab exec web-1 -- ip link set eth0 mtu 1450"),
    ),
    check=check,
)
