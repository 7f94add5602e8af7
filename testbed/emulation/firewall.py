"""The nftables ruleset of a namespace, replaced in one transaction."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from testbed.emulation import interrupts
from testbed.emulation.errors import EmulationError
from testbed.emulation.processes import run_in
from testbed.emulation.rundir import RunDir
from testbed.model.wiring import Firewall

_AT_ONCE = 4
_TABLE = re.compile(r"^\s*table\s+(?:(ip|ip6|inet|arp|bridge|netdev)\s+)?([A-Za-z_][\w./-]*)\s*\{", re.MULTILINE)


def apply_firewalls(rundir: RunDir, firewalls: Iterable[Firewall], before: Iterable[Firewall] = ()) -> None:
    """Load each ruleset; tables that ``before`` had for the namespace and the new one has not are deleted.

    Some at once: half of nft's 20 ms are waits for the kernel to have replaced the rules everywhere.
    """
    old = {firewall.namespace: firewall.ruleset for firewall in before}

    def load(firewall: Firewall) -> None:
        interrupts.check()
        script = render_replacement(firewall.ruleset, old.get(firewall.namespace, ""))
        _load(rundir, firewall.namespace, script, firewall.owner)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(load, firewalls):
            pass  # raises what a load raised


def remove_firewalls(rundir: RunDir, firewalls: Iterable[Firewall]) -> None:
    for firewall in firewalls:
        _load(rundir, firewall.namespace, render_replacement("", firewall.ruleset), firewall.owner)


def render_replacement(ruleset: str, former: str) -> str:
    """One nft script that leaves exactly ``ruleset``'s tables of those in both. Pure.

    ``add`` before ``delete`` makes the deletion of a table that is absent no error; all of it is one transaction, so
    no packet sees a half-loaded ruleset.
    """
    tables = dict.fromkeys(table_names(former) + table_names(ruleset))
    clear = "".join(f"add table {table}\ndelete table {table}\n" for table in tables)
    return clear + ruleset


def table_names(ruleset: str) -> tuple[str, ...]:
    """``("ip nat", "inet filter")``: family and name of every table that a ruleset declares."""
    return tuple(f"{match[1] or 'ip'} {match[2]}" for match in _TABLE.finditer(ruleset))


def _load(rundir: RunDir, namespace: str, script: str, owner: str) -> None:
    ran = run_in(rundir, namespace, ["nft", "-f", "-"], text=script)
    if ran.returncode:
        raise EmulationError(f"nft refused the firewall of {namespace} for {owner}: {ran.stderr.strip()}")
