"""The executable's log lines."""

from __future__ import annotations

import pytest

from litestream._executable import log_lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'time=2026-11-22T13:37:11.466Z level=INFO msg="sync: new generation" db=/a/b.db '
            'generation=27fa54328907baa7 reason="no generation exists"',
            (
                "INFO",
                "sync: new generation",
                {
                    "db": "/a/b.db",
                    "generation": "27fa54328907baa7",
                    "reason": "no generation exists",
                },
            ),
        ),
        (
            'time=2026-11-22T13:37:11.466Z level=INFO msg=litestream version=0.5.17 level=""',
            ("INFO", "litestream", {"version": "0.5.17", "level": ""}),
        ),
        (
            'time=T level=ERROR msg="failed to run" error="replica \\"nope\\" \\xff\\u00a0\\n"',
            ("ERROR", "failed to run", {"error": 'replica "nope" \udcff\xa0\n'}),
        ),
        (
            '2026/11/22 09:46:43 ERROR failed to run error="config file not found: /x y"',
            ("ERROR", "failed to run", {"error": "config file not found: /x y"}),
        ),
        (
            '{"time":"T","level":"ERROR","msg":"failed","sync-interval":1000,"error":"x"}',
            ("ERROR", "failed", {"sync-interval": "1000", "error": "x"}),
        ),
        ("file  27fa54328907baa7  0  354  2026-11-22T13:37:11Z", None),
        ('{"time":"T"}', None),
        ('{"time":', None),
        ("", None),
    ],
)  # fmt: skip
def test_log_lines_of_every_form(line, expected):
    found = log_lines.parse(line)
    assert expected == (None if found is None else tuple(found))
