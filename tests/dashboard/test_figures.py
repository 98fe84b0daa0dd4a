"""What is kept for the plots, the plots, and words for figures."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litestream.dashboard import plots, words
from litestream.dashboard.store import RANGES, Sample, Store
from litestream.errors import ConfigurationError
from tests.dashboard.pages import proof, row

NOW = 1_795_000_000.0
DAY = 86400.0
LONG = [(120, "2 min"), (7200, "2 hours"), (172800, "2 days"), (10**8, "1157 days")]
LARGE = [(48_300_000, "48.3 MB"), (10**15, "1000.0 TB")]


def test_samples_come_back_for_each_range(tmp_path: Path) -> None:
    store = Store(tmp_path / "kept")
    for minutes in range(45 * 1440, 0, -30):
        at = NOW - minutes * 60
        behind = 100.0 if minutes == 60 else 1.0
        store.sample([row("/a.db", behind=behind, size=minutes)], at)
    found = {span: store.samples("/a.db", span, NOW) for span in RANGES}
    assert [47, 335, 360] == [len(found[span]) for span in RANGES]
    for span, (step, count) in RANGES.items():
        times = [one.at for one in found[span]]
        assert times == sorted(set(times))
        assert times[0] > NOW - step * count
        assert 100.0 == max(one.behind or 0 for one in found[span])  # no average hides it
        assert 30 == found[span][-1].size
    assert (
        sum(count for _, count in RANGES.values()) * 32
        == next((tmp_path / "kept").glob("*.samples")).stat().st_size
    )


def test_what_is_not_known_stays_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "kept")
    for behind in (None, 5.0, None, 3.0):
        store.sample([row("/a.db", behind=behind, size=None)], NOW)
    (one,) = store.samples("/a.db", "24h", NOW)
    assert (5.0, None, 0.0) == one[1:]
    assert [] == store.samples("/other.db", "24h", NOW)
    assert [] == store.samples("/a.db", "24h", NOW + 2 * DAY)
    assert [] == store.samples("/a.db", "24h", NOW - 2 * DAY)  # a clock that was set back


def test_a_damaged_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    store = Store(tmp_path / "kept")
    store.sample([row("/a.db")], NOW)
    (file,) = (tmp_path / "kept").glob("*.samples")
    os.truncate(file, 100)
    assert len(store.samples("/a.db", "24h", NOW)) <= 1
    file.write_bytes(b"\xff" * 40_000)
    for span in RANGES:
        plots.of_samples(store.samples("/a.db", span, NOW), [], span, NOW, 60.0)
    (tmp_path / "kept" / file.name.replace("samples", "backups")).write_text("[broken")
    assert {} == store.read("/a.db", "backups")


def test_one_process_of_several_samples_once_a_minute(tmp_path: Path) -> None:
    stores = [Store(tmp_path / "kept") for _ in range(4)]
    assert [True, False, False, False] == [store.is_due(NOW) for store in stores]
    assert not stores[0].is_due(NOW + 30)
    assert stores[1].is_due(NOW + 60)
    assert stores[2].is_due(NOW - DAY)  # a clock that was set back


def test_readers_see_whole_lists_while_others_write(tmp_path: Path) -> None:
    stores = [Store(tmp_path / "kept") for _ in range(4)]
    stop = threading.Event()

    def write(store: Store) -> None:
        while not stop.is_set():
            store.write("/a.db", "backups", {"files": ["x" * 1000] * 100})

    stores[0].write("/a.db", "backups", {"files": ["x" * 1000] * 100})
    threads = [threading.Thread(target=write, args=(store,)) for store in stores[1:]]
    for thread in threads:
        thread.start()
    for _ in range(200):
        assert 100 == len(stores[0].read("/a.db", "backups")["files"])
    stop.set()
    for thread in threads:
        thread.join()
    assert [] == list((tmp_path / "kept").glob("*.tmp"))


def test_a_directory_of_others_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ConfigurationError, match="directory="):
        Store(tmp_path / "open")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="directory="):
        Store(tmp_path / "file")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "mine").mkdir(0o700)
    (tmp_path / f"litestream-dashboard-{os.geteuid()}").symlink_to(tmp_path / "mine")
    with pytest.raises(ConfigurationError, match="directory="):
        Store(None)


def samples(values: list[float | None], step: int = 300) -> list[Sample]:
    begin = NOW // step * step
    count = len(values)
    return [Sample(begin - (count - n) * step, v, v, v) for n, v in enumerate(values)]


def drawn(values: list[float | None], limit: float = 60.0) -> plots.Plot:
    return plots.of_samples(samples(values), [], "24h", NOW, limit)[0]


def test_a_gap_in_time_is_a_gap() -> None:
    whole = drawn([1.0, 2.0, 3.0, 4.0]).paths[0][2]
    broken = drawn([1.0, 2.0, None, None, 4.0, 5.0]).paths[0][2]
    assert 1 == whole.count("M")
    assert 2 == broken.count("M")


def test_the_limit_is_drawn_where_it_matters() -> None:
    assert drawn([0.5, 1.0]).limit is None
    near = drawn([0.5, 90.0, 61.0])
    assert near.limit is not None
    assert "above the limit of 60 s in 2 of 3 samples" in near.finding
    assert "limit 60 s" == near.limit_name


def test_the_table_has_the_same_numbers() -> None:
    plot = drawn([1.0, None, 3.0])
    assert [["3 s"], ["1.0 s"]] == [cells[1:] for cells in plot.rows]
    assert ["time (UTC)", "behind"] == plot.head
    assert "behind: 3 s at the end, at most 3 s" in plot.finding


def test_restores_are_bars_of_proofs_that_held() -> None:
    proofs = [
        proof("/a.db", words.stamp(NOW - 3600)),
        proof("/a.db", words.stamp(NOW - 1800), proved=False),
        proof("/a.db", words.stamp(NOW - 900), restore_seconds=None),
        proof("/a.db", words.stamp(NOW - 2 * DAY)),
        proof("/a.db", "no time"),
    ]
    plot = plots.of_samples([], proofs, "24h", NOW, 60.0)[2]
    assert [[words.moment(NOW - 3600), "2.5 s"]] == plot.rows
    assert 1 == plot.paths[0][2].count("V")
    empty = plots.of_samples([], [], "24h", NOW, 60.0)
    assert ["No figures yet."] * 3 == [one.finding for one in empty]
    assert [] == empty[0].paths


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e15)), max_size=40))
def test_whatever_is_drawn_stays_in_the_frame(values: list[float | None]) -> None:
    for plot in plots.of_samples(samples(values), [], "24h", NOW, 60.0):
        for _, _, path in plot.paths:
            numbers = [
                (kind, *map(float, rest.split()))
                for kind, rest in re.findall(r"([MLHV])([^MLHV]+)", path)
            ]
            for kind, *found in numbers:
                assert 0 <= found[0] <= (plots.HEIGHT if kind == "V" else plots.WIDTH)
                assert kind in "HV" or 0 <= found[1] <= plots.HEIGHT


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (None, "not known"),
        (0, "0 s"),
        (0.44, "0.4 s"),
        (59.6, "60 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 hours"),
        (172800, "2 days"),
        (10**8, "1157 days"),
    ],
)
def test_spans(number: Any, expected: str) -> None:
    assert expected == words.span(number)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (None, "not known"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (48300000, "48.3 MB"),
        (10**15, "1000.0 TB"),
    ],
)
def test_sizes(number: Any, expected: str) -> None:
    assert expected == words.size(number)


@given(st.text(max_size=300), st.integers(4, 100))
def test_a_text_is_shown_on_one_line_and_cut_in_the_middle(text: str, length: int) -> None:
    found = words.shown(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", found)
    found.encode()
    assert len(words.shortened(found, length)) <= length + 1
