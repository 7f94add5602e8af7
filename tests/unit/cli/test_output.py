"""Text in a terminal: wrapped where it began, and never cut."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, Group
from rich.text import Text

from testbed.cli.output import show
from testbed.cli.progress import _in_one_line
from testbed.observe.status_items import Column
from testbed.report.text import hang, render_table

LONG = "table balance: no Service has this address and port  [Cluster/demo, topologies/services.yaml:116]"


def shown(text: Text, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(hang(text, console), soft_wrap=True)
    return captured.get().removesuffix("\n").split("\n")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_what_does_not_fit_goes_on_below_where_its_line_began(width: int) -> None:
    first, *rest = shown(Text(f"     {LONG}"), width)
    assert all(len(line) <= width for line in (first, *rest))
    assert first.startswith("     table")
    assert all(line.startswith("       ") and line[7] != " " for line in rest)
    assert " ".join([first.strip(), *(line.strip() for line in rest)]).split() == LONG.split()
    assert bool(rest) == (width < len(LONG))


def test_prose_has_no_indent_and_lines_stay_lines() -> None:
    assert shown(Text("one two three four five six seven\n\n  seven eight nine ten eleven twelve"), 30) == [
        "one two three four five six",
        "seven",
        "",
        "  seven eight nine ten",
        "    eleven twelve",
    ]


def test_what_follows_a_label_stays_below_itself() -> None:
    text = "not yet  web-1 to the internet: dropped (no answer)\n  back  a, b, c, d, e, f, g, h, i, j"
    assert shown(Text(text), 30) == [
        "not yet  web-1 to the",
        "         internet: dropped (no",
        "         answer)",
        "  back  a, b, c, d, e, f, g,",
        "        h, i, j",
    ]


def test_a_word_is_not_cut_and_a_command_is_one_line() -> None:
    word = "set_field:0a:58:a9:fe:01:02->eth_src"
    assert shown(Text(f"   -> {word}, drop"), 24) == ["   ->", f"     {word},", "     drop"]
    command = f"$ lab exec n1 -- {LONG}"
    assert shown(Text(command, no_wrap=True), 24) == [command]


def test_styles_stay_with_their_words() -> None:
    console = Console(file=io.StringIO(), width=20)
    hung = hang(Text("  ").append("a red word that is long", style="red").append(" plain"), console)
    red = [hung.plain[span.start : span.end] for span in hung.spans if span.style == "red"]
    assert " ".join(red).split() == ["a", "red", "word", "that", "is", "long"]


def test_the_parts_of_a_whole_are_wrapped_each_by_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "24")
    show(Group(Text("a title"), Group(Text("    one two three four five six"))))
    assert capsys.readouterr().out.split("\n") == ["a title", "    one two three four", "      five six", ""]


def test_what_is_being_done_is_said_in_one_line() -> None:
    assert _in_one_line("up demo: links ...", 80) == "up demo: links ..."
    cut = _in_one_line("up demo: " + "x" * 100, 80)
    assert (len(cut), cut[-1]) == (77, "…")


def test_no_line_ends_in_blanks_and_no_address_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal of 20 columns, with colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")
    show(Text("coloured   ", style="red"))
    assert Text.from_ansi(capsys.readouterr().out.removesuffix("\n")).plain == "coloured"
    columns = (Column("FROM", flexible=True), Column("STATE"))
    show(render_table(columns, [("web-0 192.168.100.100:65535", "Running"), ("n1", "down")]))
    lines = capsys.readouterr().out.split("\n")
    plain = [Text.from_ansi(line).plain for line in lines]
    assert "\x1b[" in "".join(lines), "it was a terminal"
    assert plain == ["FROM                   STATE", "web-0                  Running", "192.168.100.100:65535",
                     "n1                     down", ""]  # fmt: skip
