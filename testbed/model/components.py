"""The lab's own components that run as workloads: real programs with a configuration that planning renders.

Their images are no user's: the prefix is not a registry. They see their configuration (``Workload.files``) as ``/srv``
and read it again on SIGHUP, which the kubelet sends when it has changed; in ``/srv/state`` they may write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from testbed.model.kubernetes import Container, Probe

PREFIX = "lab.internal/"
DNS_IMAGE = PREFIX + "dns"
PROXY_IMAGE = PREFIX + "proxy"

VERSION = "version"
"""The file of a configuration that has its version."""

PROXY_ALIVE_PORT = 8404
"""Where the proxy answers on its loopback whether it is there: it has no other port that is always its own."""


def dns_container() -> Container:
    """Cluster DNS: NSD, which answers one zone file on port 53, UDP and TCP."""
    return Container(
        "dns",
        DNS_IMAGE,
        command=("nsd", "-d", "-c", "/srv/nsd.conf"),
        readiness=Probe("tcpSocket", "53", period=1),
    )


def proxy_container() -> Container:
    """The layer-7 load balancer: HAProxy as master and worker, so that a reload loses no connection."""
    return Container(
        "proxy",
        PROXY_IMAGE,
        command=("haproxy", "-W", "-db", "-f", "/srv/haproxy.cfg"),
        readiness=Probe("tcpSocket", str(PROXY_ALIVE_PORT), period=1, host="127.0.0.1"),
    )


def version_of(files: Mapping[str, str]) -> str:
    """A number of 32 bits that tells configurations apart. The running component says it when it is asked:

    the DNS server as the serial number of its zone, the proxy by status 200 for this path at ``PROXY_ALIVE_PORT``.
    """
    digest = hashlib.blake2b(repr(sorted(files.items())).encode(), digest_size=4).digest()
    return str(int.from_bytes(digest, "big"))


def reload_probe(version: str) -> Probe:
    """What a proxy passes once it answers by the configuration of ``version``."""
    return Probe("httpGet", str(PROXY_ALIVE_PORT), path=f"/{version}", host="127.0.0.1")


def is_component(image: str) -> bool:
    return image.startswith(PREFIX)
