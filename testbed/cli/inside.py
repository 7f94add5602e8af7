"""``lab exec``, ``shell``, ``cli``, ``logs``: in and around the lab's hosts."""

from __future__ import annotations

import os
from pathlib import Path

import click

from testbed.cli.choosing import chosen_lab
from testbed.cli.completing import complete_hosts
from testbed.cli.options import lab_option
from testbed.emulation.rundir import RunDir
from testbed.observe.status import View
from testbed.operations.hosts import find_host

NAMESPACE = click.option("-n", "--namespace", default="default", help="The pod's namespace; default if not given.")
HOST = click.argument("host", shell_complete=complete_hosts)


class ProgramCommand(click.Command):
    """Options end at ``--``; where there is none, at the host's name: what follows is the program's own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.allow_interspersed_args = "--" in args
        ctx.ignore_unknown_options = "--" not in args
        return super().parse_args(ctx, args)


@click.command("exec", cls=ProgramCommand)
@click.option("-i", "--stdin", is_flag=True, hidden=True, help="Kubernetes' habit; standard input is always passed.")
@click.option("-t", "--tty", is_flag=True, hidden=True, help="Kubernetes' habit; the terminal is always passed.")
@NAMESPACE
@lab_option
@HOST
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(host: str, command: tuple[str, ...], namespace: str, stdin: bool, tty: bool) -> None:
    """Run a program in a pod, node, server or internet host. The exit status is the program's own.

    \b
    Example:
      lab exec db-0 -- ping -c1 192.168.1.2
      lab exec deploy/web -- ip route
      lab exec n1 -- tcpdump -ni eth0 udp port 4789
    """
    from testbed.emulation.processes import exec_in

    rundir = chosen_lab()
    exec_in(rundir, find_host(View(rundir).memory, host, namespace), command)


@click.command()
@NAMESPACE
@lab_option
@HOST
def shell(host: str, namespace: str) -> None:
    """A shell in a pod, node, server or internet host.

    \b
    Example:
      lab shell n1
    """
    from testbed.emulation.processes import exec_in

    rundir = chosen_lab()
    name = find_host(View(rundir).memory, host, namespace)
    os.environ["PS1"] = f"{name}# "
    program = ("bash", "--norc", "-i") if os.isatty(0) else ("bash", "--norc")
    exec_in(rundir, name, program)


@click.command()
@click.option("--script", type=click.Path(exists=True, dir_okay=False), help="Commands from a file.")
@lab_option
def cli(script: str | None) -> None:
    """Mininet's command line on the running lab: nodes, net, dump, pingall, iperf, web-0 ping db-0.

    \b
    Example:
      lab cli
      mininet> db-0 ping -c1 db-1
    """
    from testbed.emulation.mininet_net import run_cli

    run_cli(chosen_lab(), script)


@click.command()
@click.argument("what", shell_complete=complete_hosts)
@click.option("-c", "--container", help="Which container; the pod's first if not given.")
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--tail", type=click.IntRange(0), help="Only so many lines from the end.")
@NAMESPACE
@lab_option
def logs(what: str, container: str | None, follow: bool, tail: int | None, namespace: str) -> None:
    """Output of a container, or of a part of the lab: fabric, cluster, kubelet, or ovs/NODE.

    \b
    Example:
      lab logs db-0
      lab logs vm-1 -c echo -f
      lab logs cluster --tail 20
      lab logs ovs/n1
    """
    rundir = chosen_lab()
    path = find_log(rundir, what, container, namespace)
    lines = "+1" if tail is None else str(tail)
    arguments = ["tail", "-n", lines, *(["-F"] if follow else []), "--", str(path)]
    os.execvp("tail", arguments)  # noqa: S606 - no shell: a list of arguments


def find_log(rundir: RunDir, what: str, container: str | None, namespace: str) -> Path:
    """Raises ``BadRequestError`` when there is no such log."""
    from testbed.operations.logs import container_log, part_log

    if container is None and (path := part_log(rundir, what)):
        return path
    return container_log(rundir, View(rundir).memory, what, container, namespace)
