"""Images of the lab's own components: real programs of this machine with a configuration that planning renders.

Their configuration is a directory of the run directory that they see as ``/srv``; ``write_config`` replaces it, and
the kubelet tells the program (SIGHUP) to read it again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from testbed.model.kubernetes import Container, Probe
from testbed.model.workloads import Workload
from testbed.workloads.reload import VERSION
from testbed.workloads.rundir import RunDir, write_atomically

PREFIX = "lab.internal/"
DNS_IMAGE = PREFIX + "dns"
PROXY_IMAGE = PREFIX + "proxy"


def dns_container() -> Container:
    """Cluster DNS: NSD, which answers one zone file (``dns.py``) on port 53 of every address, UDP and TCP."""
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
    )


def is_component(image: str) -> bool:
    return image.startswith(PREFIX)


def is_privileged(image: str, workload: Workload) -> bool:
    """Starts as root: the proxy, which reads TLS keys and drops rights itself. Never on a node, where pods are."""
    return image == PROXY_IMAGE and not workload.node


def write_config(rundir: RunDir, workload: str, files: Mapping[str, str], secret: bool = False) -> bool:
    """Make the configuration directory hold exactly ``files``, the version last; False when it did already.

    ``secret``: for root alone. Otherwise for every program, though only the workload has a way to it.
    """
    folder = rundir.config(workload)
    folder.parent.parent.mkdir(mode=0o700, exist_ok=True)
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o755, exist_ok=True)
    os.chmod(folder, 0o700 if secret else 0o755)
    found = {path.name: path for path in folder.iterdir()}
    changed = {name: text for name, text in files.items() if name not in found or found[name].read_text() != text}
    stale = [path for name, path in found.items() if name not in files and name != VERSION]
    if not changed and not stale and VERSION in found:
        return False
    for name, text in changed.items():
        write_atomically(folder / name, text, 0o600 if secret else 0o644)
    for path in stale:
        path.unlink()
    write_atomically(folder / VERSION, "", 0o600 if secret else 0o644)
    return True
