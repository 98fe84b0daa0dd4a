"""Calls side by side: in order, some at a time, and none when nobody waits any more."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import litestream
from litestream._executable import contents, side_by_side
from litestream._executable import run as executable_run
from tests.support import Site


def test_results_come_in_order_and_some_at_a_time() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def call(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01 * (10 - number) / 10)
        with lock:
            running -= 1
        return number

    assert list(side_by_side.results(call, range(10), 3)) == list(range(10))
    assert 1 < most <= 3


def test_those_that_wait_for_something_else_take_turns() -> None:
    waiting, working, lock = [0, 0], [0, 0], threading.Lock()

    def count(counter: list[int], by: int) -> None:
        with lock:
            counter[0] += by
            counter[1] = max(counter)

    def call(_: int) -> None:
        count(waiting, 1)
        time.sleep(0.02)
        with side_by_side.turn():
            count(working, 1)
            time.sleep(0.01)
            count(working, -1)
        count(waiting, -1)

    list(side_by_side.results(call, range(8), 2, waiting=6))
    assert waiting[1] > 2
    assert working[1] == 2


def test_a_failure_ends_the_calls_that_run(tmp_path: Path) -> None:
    def call(number: int) -> None:
        if number == 0:
            raise litestream.ConfigurationError("wrong")
        executable_run.run(["/bin/sleep", "60"], timeout=None)

    begun = time.monotonic()
    with pytest.raises(litestream.ConfigurationError, match="wrong"):
        list(side_by_side.results(call, range(3), 3))
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("kept_in", ["a directory", "elsewhere"])
@pytest.mark.parametrize("number", [1, 3])
def test_databases_starts_the_executable_once_for_each(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, number: int, kept_in: str
) -> None:
    if kept_in == "elsewhere":
        monkeypatch.setattr(contents, "_read", lambda *_: None)
    sites = [make_site(f"site-{n}") for n in range(number)]
    entries = []
    for site in sites:
        site.write(3)
        site.back_up()
        entries += json.loads(site.config.read_text())["dbs"]
    config = sites[0].directory / "all.yml"
    config.write_text(json.dumps({"dbs": entries}))
    started: list[str] = []
    run = executable_run.run

    def noted(argv: list[str], **options: Any) -> executable_run.Output:
        started.append(argv[1])
        return run(argv, **options)

    litestream.commands.version()
    monkeypatch.setattr(executable_run, "run", noted)
    rows = litestream.databases(config=config)
    assert [row["path"] for row in rows] == [str(site.database) for site in sites]
    assert all(row["generations"] for row in rows)
    for_each = {
        ("0.3", "a directory"): ["generations"],
        ("0.3", "elsewhere"): ["generations", "snapshots"],
        ("0.5", "a directory"): [],
        ("0.5", "elsewhere"): ["ltx"],
    }[sites[0].series, kept_in]
    assert sorted(started) == sorted(["databases", *for_each * number])


@pytest.mark.parametrize("calls", [1, 3])
def test_what_is_over_is_given_up(calls: int) -> None:
    begun = threading.Event()

    def wait(_: int) -> None:
        begun.set()
        while True:
            side_by_side.require_wanted()
            time.sleep(0.01)

    with pytest.raises(side_by_side.NotWantedError), side_by_side.until(begun.is_set):
        list(side_by_side.results(wait, range(calls), 2))
    side_by_side.require_wanted()  # only in the block


def test_an_error_of_a_call_is_no_end_of_the_wait() -> None:
    def fail(_: int) -> None:
        raise litestream.CommandTimeoutError(["litestream"], 1.0)

    with pytest.raises(litestream.CommandTimeoutError), side_by_side.until(lambda: False):
        list(side_by_side.results(fail, range(3), 2))


def test_a_start_asks_no_directory_that_is_empty(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.write(3)
    asked: list[str] = []
    run = executable_run.run

    def noted(argv: list[str], **options: Any) -> executable_run.Output:
        asked.append(argv[1])
        return run(argv, **options)

    litestream.commands.version()
    monkeypatch.setattr(executable_run, "run", noted)
    with litestream.Replication(site.config):
        pass
    assert asked == []


def test_many_are_recovered_side_by_side(make_site: Callable[..., Site]) -> None:
    sites = [make_site(f"site-{n}") for n in range(3)]
    config = {}
    for site in sites:
        site.write(3)
        site.back_up()
        config[f"{site.database}.copy"] = f"file://{site.replica_path}"
    done = litestream.recover(config=config, jobs=3)
    assert [one.action for one in done] == ["restored"] * 3
    assert [one.database for one in done] == list(config)
