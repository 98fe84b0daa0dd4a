"""Reading the executable's output: exact, or refused; never a misplaced column."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litestream._executable import log_lines, parse
from litestream.errors import UnreadableOutputError
from litestream.rows import DatabaseRow, GenerationRow, SnapshotRow, WALRow


def tabwriter(rows: list[list[str]]) -> str:
    """Lay rows out as Go's ``text/tabwriter`` does (minwidth 0, padding 2, spaces).

    A column is a block of consecutive lines that have a tab-terminated cell there; its width is
    that of its widest cell. A tab in a cell starts another cell, a line break another line.
    """
    lines = [line.split("\t") for line in "".join("\t".join(r) + "\n" for r in rows).split("\n")]

    def width(at: int, column: int) -> int:
        first = last = at
        while first > 0 and len(lines[first - 1]) > column + 1:
            first -= 1
        while last + 1 < len(lines) and len(lines[last + 1]) > column + 1:
            last += 1
        return max(len(lines[n][column]) for n in range(first, last + 1)) + 2

    return "\n".join(
        "".join(cell.ljust(width(n, c)) for c, cell in enumerate(line[:-1])) + line[-1]
        for n, line in enumerate(lines)
    )


generation = st.text("0123456789abcdef", min_size=16, max_size=16)
number = st.integers(0, 10**12)
moment = st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1)).map(
    lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ")
)
lag = st.sampled_from(["-547ms", "0s", "2.1s", "1h2m3s", "-7µs", "49h0m0.5s"])
# what a name may be: anything; a tab or a line break makes its line unreadable
anything = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
quiet = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=8)
spaced = st.lists(quiet, min_size=1, max_size=4).flatmap(
    lambda words: st.sampled_from([" ", "  ", "   "]).map(lambda gap: gap.join(words))
)
single_spaced = st.lists(quiet, min_size=1, max_size=4).map(" ".join)
SHAPES = {
    GenerationRow: (lag, moment, moment),
    SnapshotRow: (number, number, moment),
    WALRow: (number, number, number, moment),
}


@given(st.data(), st.sampled_from(list(SHAPES)), st.booleans())
def test_a_listing_is_read_exactly_or_refused(data, shape, hostile):
    name = anything if hostile else spaced
    columns = list(shape.__annotations__)
    rows = data.draw(st.lists(st.tuples(name, generation, *SHAPES[shape]), max_size=5))
    text = tabwriter([columns, *[[str(cell) for cell in row] for row in rows]])
    expected = [dict(zip(columns, row, strict=True)) for row in rows]
    try:
        found = parse.table(text, shape)
    except UnreadableOutputError:
        assert any(set(row[0]) & set("\t\n") or row[0].strip(" ") != row[0] for row in rows)
    else:
        assert len(expected) == len(found)
        for row, here, there in zip(rows, expected, found, strict=True):
            assert here == there or row[0].rstrip(" ") != row[0]


@given(st.lists(st.tuples(spaced.map(lambda path: f"/{path}"), single_spaced), max_size=5))
def test_databases_with_spaces_are_read_exactly(rows):
    text = tabwriter([["path", "replicas"], *[list(row) for row in rows]])
    expected = [{"path": path, "replicas": replicas} for path, replicas in rows]
    assert expected == parse.table(text, DatabaseRow)


@given(st.lists(st.tuples(anything.map(lambda path: f"/{path}"), anything), max_size=4))
def test_hostile_databases_never_crash_the_parser(rows):
    text = tabwriter([["path", "replicas"], *[list(row) for row in rows]])
    try:
        found = parse.table(text, DatabaseRow)
    except UnreadableOutputError:
        return
    assert all(set(row) == {"path", "replicas"} for row in found)


@given(st.data())
def test_output_cut_anywhere_is_complete_rows_or_refused(data):
    rows = [
        ["file", "27fa54328907baa7", str(n), str(n * 7), "2026-11-22T13:37:11Z"] for n in (1, 2)
    ]
    text = tabwriter([list(SnapshotRow.__annotations__), *rows])
    whole = parse.table(text, SnapshotRow)
    cut = data.draw(st.integers(0, len(text) - 1))
    try:
        found = parse.table(text[:cut], SnapshotRow)
    except UnreadableOutputError:
        return
    assert whole[: len(found)] == found


@given(st.text())
def test_no_text_crashes_a_parser(text):
    for read in (
        lambda: parse.table(text, DatabaseRow),
        lambda: parse.json_rows(text, DatabaseRow),
        lambda: parse.ltx_rows(text),
    ):
        with contextlib.suppress(UnreadableOutputError):
            read()
    log_lines.parse(text)


def test_a_table_without_rows():
    assert [] == parse.table("path  replicas\n", DatabaseRow)


def test_a_database_without_replicas():
    text = tabwriter([["path", "replicas"], ["/a long/path.db", ""]])
    assert [{"path": "/a long/path.db", "replicas": ""}] == parse.table(text, DatabaseRow)


def test_emoji_and_bytes_that_are_no_utf8_keep_the_columns():
    path = b"/\xff\xfe \xf0\x9f\x90\x8d/a.db".decode("utf-8", "surrogateescape")
    text = tabwriter([["path", "replicas"], [path, "s3"], ["/b.db", "file"]])
    assert [path, "/b.db"] == [row["path"] for row in parse.table(text, DatabaseRow)]


@pytest.mark.parametrize("path", ["/a\tb", "/a\nb", "/a\n/b  file", "/data\tx\ty"])
def test_a_path_that_forges_columns_is_refused(path):
    text = tabwriter([["path", "replicas"], ["/a/much/longer/path.db", "s3"], [path, "s3"]])
    with pytest.raises(UnreadableOutputError, match="tab or a line break"):
        parse.table(text, DatabaseRow)


def test_log_lines_are_no_rows():
    text = (
        'time=2026-11-22T13:37:11.466Z level=WARN msg="something" db=/a.db\n'
        "2026/11/22 13:37:11 WARN: failed to get session token\n"
        + tabwriter([["path", "replicas"], ["/a.db", "s3"]])
        + '{"time":"2026-11-22T13:37:11Z","level":"INFO","msg":"x"}\n'
    )
    assert [{"path": "/a.db", "replicas": "s3"}] == parse.table(text, DatabaseRow)


def test_json_behind_log_lines():
    log = '{"time":"2026-11-22T13:37:11Z","level":"WARN","msg":"host key not verified"}\n'
    content = json.dumps([{"path": "/a", "replicas": "s3", "new": 1}], indent=2)
    assert [{"path": "/a", "replicas": "s3"}] == parse.json_rows(log + content, DatabaseRow)
    assert [] == parse.json_rows(f"{log}[]\n", DatabaseRow)
    assert [] == parse.json_rows(f"{log}null\n", DatabaseRow)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[\n  {\n", '[\n  {"path": 1}\n]', "[\n1\n]", "{\n}"]
)
def test_json_that_is_no_list_of_rows_is_refused(text):
    with pytest.raises(UnreadableOutputError):
        parse.json_rows(text, DatabaseRow)


@pytest.mark.parametrize(
    ("seconds", "printed"),
    [
        (0, "0s"),
        (-0.547, "-547ms"),
        (2.14, "2.1s"),
        (59.9, "59.9s"),
        (61, "1m1s"),
        (3600 * 49 + 5, "49h0m5s"),
        (0.0001, "0s"),
    ],
)
def test_a_lag_is_written_as_go_does(seconds, printed):
    assert printed == parse.duration(seconds)
