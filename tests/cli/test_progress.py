"""What a terminal shows of a restore."""

from __future__ import annotations

import io
import sys

import pytest

import litestream
from litestream._cli import progress
from litestream._executable import run


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_shown_where_there_is_no_terminal(capsys):
    with progress.shown() as report:
        report("app.db", 1, 2)
    assert ("", "") == capsys.readouterr()


def test_a_bar_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress.shown() as report:
        report("[red]app.db", 5_000_000, 10_000_000)
        report("[red]app.db", 10_000_000, 10_000_000)
    assert "[red]app.db" in terminal.getvalue()
    assert "10.0/10.0 MB" in terminal.getvalue()


@pytest.mark.parametrize(("expected", "shown"), [(10, " of 10"), (None, "")])
def test_plain_lines_without_rich(monkeypatch, expected, shown):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    with progress.shown() as report:
        report("app.db", 5, expected)
    assert f"app.db: 5{shown} bytes restored\n" == terminal.getvalue()


@pytest.mark.parametrize("rich", [True, False])
def test_what_is_waited_for_is_said(monkeypatch, rich):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    if not rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    with progress.shown("its daemon") as report:
        report("app.db", 0, None)
    assert "app.db: waiting for its daemon" in terminal.getvalue()


def test_recover_tells_its_progress(replicated, monkeypatch):
    monkeypatch.setattr(run, "_LOOK", 0.001)
    rows = replicated.rows()
    replicated.connection.close()
    for path in replicated.directory.glob("app.db*"):
        path.unlink()
    told: list[tuple[str, int, int | None]] = []
    litestream.recover(config=replicated.config, progress=lambda *report: told.append(report))
    size = replicated.database.stat().st_size
    assert (str(replicated.database), size, size) == told[-1]
    assert told[0][1] < size, "nothing was told while it was being restored"
    assert rows == replicated.rows(replicated.database)
