"""Guided labs for people: the parts of a guide, what its commands did, and what its checker found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.padding import Padding
from rich.text import Text

from testbed.guide.guides import Command, Finding, Guide, Step
from testbed.guide.running import Ran, typed


def render_opening(name: str, guide: Guide) -> Iterator[Text | Padding]:
    yield Text(f"{name}: {guide.title}", style="bold")
    yield Text()
    yield Text(f"Goal: {guide.goal.strip()}")
    yield Text()
    yield Padding(Text(guide.picture.strip("\n"), style="cyan"), (0, 0, 0, 2))
    yield Text()


def render_step(number: int, step: Step) -> Iterator[Text]:
    yield Text.assemble((f"Step {number}. ", "bold"), step.text.strip())


def render_typed(command: Command, lab: str, style: str) -> Text:
    """To be copied: not indented, as a document's EOF must not be, and not wrapped."""
    return Text(f"\n$ {typed(command, lab)}", style=style, no_wrap=True)


def render_ran(ran: Ran, lab: str = "") -> Iterator[Text]:
    """The command as typed (``lab``: to be named), and what it said, cut where the guide says so."""
    yield render_typed(ran.command, lab, "bold cyan")
    if ran.command.background:
        yield Text("    (begun before the others of this step, and ended after them)", style="dim")
    lines = ran.output.rstrip().splitlines()
    for line in lines[: ran.command.lines]:
        yield Text(f"    {line}")
    if len(lines) > ran.command.lines:
        yield Text(f"    ... and {len(lines) - ran.command.lines} more", style="dim")
    if ran.status and not ran.command.background:
        yield Text(f"    (exit status {ran.status})", style="dim")  # curl -s says nothing when nobody answers
    if ran.problem:
        yield Text(f"    this is not what the guide says: {ran.problem}", style="bold red")


def render_notice(step: Step) -> Iterator[Text]:
    if step.notice:
        yield Text.assemble(("\nNotice: ", "bold green"), step.notice.strip())
    yield Text()


def render_task(name: str, guide: Guide) -> Iterator[Text]:
    yield Text.assemble(("Your turn: ", "bold yellow"), guide.task.strip())
    yield Text(f"\nlab labs check {name}   says whether it is done, and if not, what is wrong")
    yield Text(f"lab labs solve {name}   shows one way and does it")
    yield Text(f"lab labs stop {name}    removes the lab")


def render_findings(name: str, findings: Iterable[Finding]) -> Iterator[Text]:
    """Each thing looked at, and below what is not well what to do; the verdict last."""
    found = tuple(findings)
    for finding in found:
        yield Text.assemble(("ok       ", "green") if finding.ok else ("not yet  ", "bold red"), finding.what)
        if finding.do:
            yield Text(f"         {finding.do}", style="yellow")
    missing = sum(not finding.ok for finding in found)
    if missing:
        yield Text(f"{name}: {missing} of {len(found)} to do", style="bold red")
    else:
        yield Text(f"{name}: done; lab labs stop {name} removes the lab", style="bold green")


def findings_document(name: str, findings: Iterable[Finding]) -> dict[str, Any]:
    found = [{"ok": one.ok, "what": one.what, "do": one.do or None} for one in findings]
    return {"name": name, "done": bool(found) and all(one["ok"] for one in found), "findings": found}
