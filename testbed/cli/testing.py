"""``lab test``: linters, types, unit and integration tests; ``--vm``: on the kernel datapath of a machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("testbed", "controllers", "scenarios", "topologies", "tests")
MACHINE_LACKS = 3


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--lint", is_flag=True, help="Only ruff and mypy.")
@click.option("--unit", is_flag=True, help="Only the unit tests: no root, seconds.")
@click.option("--integration", is_flag=True, help="Only the integration tests: root, real namespaces.")
@click.option("--vm", is_flag=True, help="On the kernel datapath, in a virtual machine of Debian's own kernel.")
@click.option("--keep", is_flag=True, help="With --vm: keep the machine's image and logs.")
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED)
def test(lint: bool, unit: bool, integration: bool, vm: bool, keep: bool, pytest_args: tuple[str, ...]) -> None:
    """Check the code and run the tests.

    Without an option everything but the virtual machine, one more test at once than there are processors. Further
    arguments go to pytest:

    \b
    lab test --unit -k flow
    lab test tests/integration/test_leaks.py -n0 -x

    --vm makes a Debian root from packages (kept in /var/cache/cnlab), boots it in QEMU and runs the set-up, the demo
    and the integration tests there: with KVM all, in minutes; emulated, in an hour or so, those whose outcome
    depends on the datapath, every scenario among them. With arguments for pytest only these tests:

    \b
    lab test --vm tests/integration
    """
    if vm:
        sys.exit(_in_vm(keep, pytest_args))
    everything = not (lint or unit or integration)
    folders = [name for name, on in (("unit", unit), ("integration", integration)) if on or everything]
    if "integration" in folders and os.geteuid() != 0:
        click.echo("lab: integration tests need root: sudo ./lab test; without: ./lab test --unit", err=True)
        sys.exit(MACHINE_LACKS)

    failed = _lint() if lint or everything else []
    if folders:
        paths = [] if _names_tests(pytest_args) else [f"tests/{folder}" for folder in folders]
        failed += _run("pytest", *_at_once(), *paths, *pytest_args)
    if failed:
        click.echo(f"lab: failed: {', '.join(failed)}", err=True)
        sys.exit(1)


def _lint() -> list[str]:
    checked = [name for name in PACKAGES if any((ROOT / name).rglob("*.py"))]
    return _run("ruff", "check", "--quiet", *checked) + _run("mypy", *checked)


def _run(tool: str, *arguments: str) -> list[str]:
    """The tool's name if it failed. Output is the tool's own; pytest's exit 5, no test ran, is a failure."""
    sys.stdout.flush()
    done = subprocess.run([sys.executable, "-m", tool, *arguments], cwd=ROOT, check=False)
    return [tool] if done.returncode else []


def _at_once() -> tuple[str, ...]:
    """Tests that share a lab, or watch the machine, stay together (``tests/conftest.py``).

    One more than there are processors: half of the time they wait for what must not happen.
    """
    processors = len(os.sched_getaffinity(0))
    return ("--numprocesses", str(processors + 1), "--dist", "loadgroup") if processors > 1 else ()


def _names_tests(pytest_args: tuple[str, ...]) -> bool:
    return any(argument.startswith("tests/") for argument in pytest_args)


def _in_vm(keep: bool, pytest_args: tuple[str, ...]) -> int:
    command = ["bash", str(ROOT / "tests/vm/run"), *(["--keep"] if keep else []), *pytest_args]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


@click.command()
def setup() -> None:
    """Install what is missing, and nothing else."""
    sys.exit(subprocess.run(["bash", str(ROOT / "testbed/setup/setup")], check=False).returncode)
