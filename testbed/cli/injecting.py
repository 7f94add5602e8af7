"""``lab fault``: break something on purpose, see what the lab makes of it, mend it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.text import Text

from testbed.cli.choosing import chosen_lab
from testbed.cli.completing import complete_hosts
from testbed.cli.inside import NAMESPACE
from testbed.cli.options import lab_option
from testbed.cli.output import show
from testbed.observe.status import View
from testbed.operations import injection
from testbed.operations.hosts import find_host

Verb = TypeVar("Verb", bound=Callable[..., Any])


def link_arguments(verb: Verb) -> Verb:
    """HOST, its namespace and which of its links."""
    for option in (
        lab_option,
        NAMESPACE,
        click.option("-i", "--interface", default="eth0", help="Which of its links; eth0 if not given."),
        click.argument("host", shell_complete=complete_hosts),
    ):
        verb = option(verb)
    return verb


@click.group()
def fault() -> None:
    """Break something on purpose; status says what is broken, and clear mends it.

    \b
    Example:
      lab fault link-down n2
      lab fault impair db-0 --loss 10 --delay 20ms
      lab fault kill ovs/n1
      lab fault clear

    A killed part stays dead until: lab up or apply.
    """


@fault.command("link-down")
@link_arguments
def link_down(host: str, namespace: str, interface: str) -> None:
    """Pull out a cable: the host loses its carrier, keeps addresses and routes.

    \b
    Example:
      lab fault link-down n2
    """
    rundir = chosen_lab()
    _tell(injection.take_link_down(rundir, find_host(View(rundir).memory, host, namespace), interface))


@fault.command()
@link_arguments
@click.option("--loss", type=float, default=0.0, metavar="PERCENT", help="Packets lost, each way.")
@click.option("--delay", default="", metavar="TIME", help="Added to each packet, each way: 20ms.")
@click.option("--rate", default="", metavar="RATE", help="No more than: 10mbit.")
def impair(host: str, namespace: str, interface: str, loss: float, delay: str, rate: str) -> None:
    """Make a cable bad (netem on both ends): loss, delay, rate.

    \b
    Example:
      lab fault impair n1 --loss 5 --delay 10ms
    """
    rundir = chosen_lab()
    name = find_host(View(rundir).memory, host, namespace)
    _tell(injection.impair_link(rundir, name, interface, loss, delay, rate))


def complete_parts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    from click.shell_completion import CompletionItem

    try:
        return [CompletionItem(name) for name in injection.part_names(chosen_lab()) if name.startswith(incomplete)]
    except Exception:
        return []


PART = click.argument("part", shell_complete=complete_parts)


@fault.command()
@PART
@lab_option
def kill(part: str) -> None:
    """SIGKILL to fabric, cluster, kubelet, manager or ovs/HOST.

    \b
    Example:
      lab fault kill cluster
    """
    pids = injection.kill_part(chosen_lab(), part)
    show(Text(f"{part} is killed ({', '.join(f'process {pid}' for pid in pids)}); lab up or apply starts it again"))


@fault.command()
@PART
@lab_option
def freeze(part: str) -> None:
    """SIGSTOP to fabric, cluster, kubelet, manager or ovs/HOST: there, and does not answer.

    \b
    Example:
      lab fault freeze ovs/n2
    """
    _tell(injection.freeze_part(chosen_lab(), part))


@fault.command()
@click.argument("targets", nargs=-1)
@lab_option
def clear(targets: tuple[str, ...]) -> None:
    """Mend what was broken: everything, or what concerns TARGETS.

    \b
    Example:
      lab fault clear
      lab fault clear n2
    """
    mended = injection.clear_faults(chosen_lab(), targets)
    show(Text("\n".join(f"no longer: {item}" for item in mended) or "nothing to clear"))


@fault.command("list")
@lab_option
def list_() -> None:
    """What is broken on purpose now.

    \b
    Example:
      lab fault list
    """
    show(Text("\n".join(map(str, injection.read_faults(chosen_lab()))) or "nothing"))


def _tell(injected: injection.Fault) -> None:
    show(Text(f"{injected}; lab fault clear mends it"))
