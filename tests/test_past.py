"""Points in time: what is proved of them, and what is missing, on the real executables."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone

import pytest

import litestream
from litestream import cli, commands
from litestream._executable import listings
from litestream._restore import gaps as gaps_between
from litestream._verification import past
from litestream.errors import VerificationFailure
from tests.support import tokens, wait_until


def verify(site, **options):
    return litestream.verify(
        site.database, config=site.config, directory=site.directory, **{"timeout": 20, **options}
    )


@pytest.fixture
def lively(make_site, series):
    """Return a running Site whose daemon makes a snapshot a second."""
    site = make_site(socket=True)
    if series == "0.5":
        site.configure("50ms", snapshot={"interval": "1s", "retention": "1h"})
    else:
        site.replica = {**site.replica, "snapshot-interval": "700ms"}
        site.configure("50ms")
        config = json.loads(site.config.read_text())
        config["dbs"][0]["min-checkpoint-page-count"] = 1
        site.config.write_text(json.dumps(config))
    site.write(10)
    site.start()
    site.wait_for_backup()
    return site


def snapshots(site) -> list[int]:
    return sorted(row["index"] for row in listings.snapshots(site.database, config=site.config))


def fill(site) -> None:
    """Commit until there are two snapshots, with something between them."""

    def more() -> bool:
        for _ in range(6):
            site.write()
            time.sleep(0.06)
        return len(set(snapshots(site))) > 2

    wait_until(more, "three snapshots")


def tear(site, series) -> None:
    """Delete what stands between two snapshots, and nowhere else."""

    def number(path) -> int:
        return int(path.name.partition("-" if series == "0.5" else "_")[0], 16)

    def torn() -> bool:
        fill(site)
        earlier, later = snapshots(site)[-2:]
        for path in site.replica_path.rglob("1/*.ltx"):  # compacted: that has it a second time
            earlier = max(earlier, int(path.stem.partition("-")[2], 16))
        files = [*site.replica_path.rglob("*.lz4"), *site.replica_path.rglob("0/*.ltx")]
        between = [
            path
            for path in files
            if path.parent.name != "snapshots" and earlier + 1 < number(path) < later - 1
        ]
        if not between:
            return False
        gone = max(map(number, between))
        for path in between:
            if number(path) == gone:
                path.unlink()
        return True

    wait_until(torn, "a hole that a newer snapshot hides")


def test_a_whole_chain_has_no_gap(lively):
    fill(lively)
    assert [] == verify(lively).gaps
    assert [] == verify(lively, exact=True).gaps


def test_a_gap_that_a_newer_snapshot_hides_is_named(lively, series, capsys):
    fill(lively)
    tear(lively, series)
    proved = wait_until(lambda: newest(lively), "the newest state's proof")
    assert proved.gaps
    (gap, *_) = proved.gaps
    assert gap["start"] <= gap["end"] <= proved.started
    assert "file" == gap["replica"]
    with pytest.raises(VerificationFailure, match="is older") as caught:
        verify(lively, timestamp=gap["start"])
    assert "unrestorable" == caught.value.reason
    if series == "0.5":  # which restores what lies before the gap, and says nothing
        copy, options = lively.directory / "copy.db", {"config": lively.config}
        with pytest.raises(litestream.BackupNotFoundError, match=r"changes between .* are missing"):
            commands.restore(lively.database, copy, timestamp=gap["start"], **options)
        assert commands.plan(lively.database, timestamp=gap["start"], **options)["files"]
        assert not copy.exists()
    arguments = ["--config", str(lively.config), "--directory", str(lively.directory)]
    assert 0 == cli.main(["verify", *arguments, str(lively.database)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("proved  ")
    assert lines[1].startswith(f"warning {lively.database}  points in time between ")
    assert 0 == cli.main(["verify", *arguments, "--json", str(lively.database)])
    assert gap in json.loads(capsys.readouterr().out)["gaps"]


def newest(site):
    try:
        return verify(site)
    except VerificationFailure:  # where the daemon has to begin anew
        return None


def test_a_point_in_time_is_proved(running, series):
    moment = datetime.now(timezone.utc)
    time.sleep(1.1)  # whole seconds
    running.write(10)
    litestream.sync(running.database, config=running.config)
    then = moment + timedelta(seconds=1)
    for timestamp in (then, then.strftime("%Y-%m-%dT%H:%M:%SZ")):
        proved = verify(running, timestamp=timestamp)
        assert (False, None) == (proved.exact, proved.txid)
        assert proved.timestamp is not None
        assert proved.timestamp.startswith(then.strftime("%Y-%m-%dT%H:%M:%S"))
    assert 0 == tokens(running)
    with pytest.raises(VerificationFailure) as caught:
        verify(running, timestamp="2020-01-01T00:00:00Z")
    assert "unrestorable" == caught.value.reason
    (outcome,) = litestream.verify_all(running.config, timestamp=then)
    assert outcome, outcome.failure


def test_what_is_no_past_is_refused(running):
    later = datetime.now(timezone.utc) + timedelta(days=1)
    for options in ({"timestamp": later}, {"timestamp": "x"}, {"timestamp": 1, "exact": True}):
        with pytest.raises(litestream.ConfigurationError, match="timestamp="):
            verify(running, **options)
    with pytest.raises(SystemExit):
        cli.main(["verify", "--exact", "--timestamp", "2020-01-01T00:00:00Z", "app.db"])


# The rules, by hand


def ltx(level, first, last, second):
    created = f"2026-11-25T12:00:{second:02}Z"
    return {
        "level": level, "min_txid": f"{first:016x}", "max_txid": f"{last:016x}", "size": 1,
        "created": created,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "gaps"),
    [
        ([(9, 1, 1, 0), (0, 1, 1, 0), (0, 2, 2, 1), (0, 3, 3, 2), (9, 1, 3, 3)], []),
        ([(9, 1, 1, 0), (0, 3, 3, 2), (9, 1, 3, 3)], [(0, 3)]),
        ([(9, 1, 1, 0), (1, 1, 4, 4), (0, 5, 5, 5), (9, 1, 3, 3), (9, 1, 5, 6)], []),
        ([(9, 1, 9, 0), (1, 5, 20, 20), (2, 5, 12, 12), (0, 22, 22, 22), (9, 1, 22, 23)],
         [(20, 23)]),
        ([(0, 1, 1, 0), (0, 2, 2, 1), (0, 4, 4, 4), (9, 1, 4, 5)], [(1, 5)]),
        ([(0, 3, 3, 3), (9, 1, 4, 5), (0, 5, 5, 6)], []),  # retention has taken what was before
    ],
)  # fmt: skip
def test_gaps_between_ltx_files(rows, gaps):
    found = [
        (int(start[-3:-1]), int(end[-3:-1]))
        for start, end in gaps_between.in_ltx([ltx(*row) for row in rows])
    ]
    assert gaps == found


def test_gaps_in_generations():
    def at(generation, index, second, offset=None):
        row = {"generation": generation, "index": index, "created": f"12:00:{second:02}Z"}
        return row if offset is None else {**row, "offset": offset}

    snapshots = [at("a", 1, 1), at("a", 5, 10), at("b", 0, 20), at("c", 0, 30)]
    segments = [
        *(at("a", index, index + 1, 0) for index in (1, 2, 4, 5, 6)),  # 3 is missing
        *(at("b", index, 21 + index, offset) for index, offset in ((0, 0), (0, 99), (1, 50))),
        at("c", 0, 31, 0),
    ]
    found = list(past._in_generations(snapshots, segments))
    assert [("12:00:03Z", "12:00:10Z"), ("12:00:21Z", "12:00:30Z")] == found
    assert [] == list(past._in_generations(snapshots[:1], []))
    assert [("12:00:02Z", "12:00:20Z")] == list(past._in_generations(snapshots[2:3], segments[:1]))
