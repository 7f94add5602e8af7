"""Plain Mininet, measured: the program that ``bench`` runs inside a namespace with an Open vSwitch of its own.

    python -m testbed.emulation.plain_mininet SWITCHES HOSTS kernel|userspace

Mininet as its users have it: ``Mininet(topo)``, its own hosts, links and switches. Only its set-up that raises limits
of the whole machine is left out.
"""

from __future__ import annotations

import json
import sys
import time

from mininet.net import Mininet
from mininet.node import OVSBridge
from mininet.topo import Topo


class Stars(Topo):
    """``switches`` switches on a core switch, ``hosts`` hosts spread over them."""

    def build(self, switches: int, hosts: int) -> None:
        core = self.addSwitch("s0", dpid=f"{0xFAB:x}")
        for number in range(1, switches + 1):
            self.addLink(self.addSwitch(f"s{number}"), core)
        for number in range(hosts):
            self.addLink(self.addHost(f"h{number}"), f"s{number % switches + 1}")


def main() -> None:
    switches, hosts, datapath = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    Mininet.inited = True

    def bridge(name: str, **params: object) -> OVSBridge:
        return OVSBridge(name, datapath=datapath.removesuffix("space"), **params)

    start = time.monotonic()
    net = Mininet(Stars(switches, hosts), switch=bridge, controller=None)
    built = time.monotonic()
    net.start()
    started = time.monotonic()
    net.stop()
    stopped = time.monotonic()
    result = {"build": built - start, "start": started - built, "stop": stopped - started}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
