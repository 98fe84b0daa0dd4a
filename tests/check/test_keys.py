"""The tables of keys are those that the executables decode, no more and no fewer."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from litestream._check import check, values
from litestream._config.keys import BY_PLACE, KEYS, PLACES, VERSIONS

NAMES = sorted({key.name for key in KEYS} | {"no-such-key", "replicass"})
AROUND = {
    "": "{}",
    "dbs[]": "dbs: [{}]",
    "replica": "dbs: [{{path: /a, replicas: [{}]}}]",
    "levels[]": "levels: [{}]",
    **{p: f"{p}: {{}}" for p in ("snapshot", "retention", "validation", "socket", "logging")},
    "age": "dbs: [{{path: /a, replicas: [{{age: {}}}]}}]",
}
RIGHT = {"text": "x", "secret": "$UNSET", "bool": "true", "int": "5", "mode": "0600"}


RIGHT |= {"duration": "90s", "size": "5MiB", "texts": "[a]"}


VALUES = {  # kind: what is refused, what is taken
    "bool": (["1", '"true"', "[]", "{}", "maybe"], ["y", "off", "True", "NO", "~"]),
    "int": (['"5"', "x", "true", "[]", "10 s"], ["5", "-1", "0x10", "1_000"]),
    "duration": (["1d", "[]", "5 s", "true", "{}", "1w"], ["1s", "1h30m", "1.5h", "100ms", "5us"]),
    "size": (["5XB", "[]", "x"], ["5", "5MB", "1.5GiB", "10k", "5 MiB"]),
    "texts": (["x", "{}", "5"], ["[]", "[a]"]),
    "text": (["[]", "{}", "[a]"], ["5", "true", "x", '"y"', "~"]),
    "mode": (['"0600"', "x", "[]"], ["0600", "0700", "0o600"]),
}


def databases(installed, text, tmp_path) -> str:
    """Return what the executable says of a config's text."""
    config = tmp_path / "probe.yml"
    config.write_text(text)
    done = subprocess.run(
        [installed, "databases", "-config", config], capture_output=True, text=True
    )
    return done.stderr + done.stdout.partition("error=")[2]


def refused(said: str) -> set[int]:
    return {int(line) for line in re.findall(r"line (\d+): cannot unmarshal", said)}


@pytest.mark.parametrize("place", PLACES)
def test_each_key_is_decoded_where_the_tables_say(place, series, installed, tmp_path):
    """A value of a wrong shape is refused for a key that is known, and ignored for another."""
    known = BY_PLACE[place]
    lines = [" {"]
    for name in NAMES:
        wrong = "x" if name in known and known[name].kind == "mapping" else "{a: 1}"
        if name in known and known[name].kind == "size":
            wrong = "[]"
        lines.append(f"  {name}: {wrong},")
    found = set()
    for left_out in ("", "  snapshot:"):  # which 0.5 decodes first, and says nothing else
        kept = ["  # " if left_out and line.startswith(left_out) else line for line in lines]
        text = AROUND[place].format("\n" + "\n".join([*kept, " }"]) + "\n")
        found |= {NAMES[line - 3] for line in refused(databases(installed, text, tmp_path))}
    expected = {name for name, key in known.items() if series in key.series}
    assert expected == found


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.place}:{key.name}")
def test_each_key_is_accepted_and_documented(key):
    assert key.about.endswith(".")
    assert key.place in PLACES
    for series in key.series:
        value = RIGHT.get(key.kind, "[]" if key.kind == "mappings" else "{}")
        text = AROUND[key.place].format(f"{{{key.name}: {value}}}")
        rows = check.check_text(text, "c.yml", series)
        ids = {row["id"] for row in rows}
        assert not ids & {"unknown-key", "misplaced-key", "other-series", "wrong-type"}, rows
        assert "wrong-unit" not in ids


def test_the_executable_takes_each_key_with_such_a_value(series, installed, tmp_path):
    for place in PLACES:
        pairs = [
            f"{key.name}: {RIGHT.get(key.kind, '[]' if key.kind == 'mappings' else '{}')}"
            for key in BY_PLACE[place].values()
            if series in key.series and (place, key.name) != ("logging", "type")
        ]
        if pairs:
            text = AROUND[place].format("{" + ", ".join(pairs) + "}")
            said = databases(installed, text, tmp_path)
            assert "unmarshal" not in said, (place, said)
            assert "panic" not in said


@pytest.mark.parametrize("kind", VALUES)
def test_values_are_refused_as_the_executable_refuses_them(kind, installed, series, tmp_path):
    keys = [key for key in KEYS if key.kind == kind and series in key.series]
    if not keys:
        pytest.skip("this series has no such key")
    wrong, right = VALUES[kind]
    for value in [*wrong, *right]:
        text = AROUND[keys[0].place].format(f"{{{keys[0].name}: {value}}}")
        said = databases(installed, text, tmp_path)
        is_refused = "cannot unmarshal" in said or "invalid size" in said
        ids = {row["id"] for row in check.check_text(text, "c.yml", series)}
        assert (value in wrong) == is_refused, (value, said)
        assert is_refused == bool(ids & {"wrong-type", "wrong-unit"}), value


@pytest.mark.parametrize(
    ("kind", "value", "ident"),
    [
        ("duration", "30", "wrong-unit"),  # nanoseconds
        ("duration", "1.5", "wrong-unit"),
        ("int", "1.5", "wrong-type"),  # cut to 1
        ("mode", "600", "wrong-unit"),  # 01130
    ],
)
def test_values_that_litestream_takes_for_others(kind, value, ident):
    key = next(key for key in KEYS if key.kind == kind and "0.5" in key.series)
    text = AROUND[key.place].format(f"{{{key.name}: {value}}}")
    assert ident in {row["id"] for row in check.check_text(text, "c.yml", "0.5")}


def test_durations():
    assert 5400 == values.seconds("1h30m")
    assert 0.05 == values.seconds("50ms")
    assert -1 == values.seconds("-1s")
    assert None is values.seconds("1d")


def test_the_tables_are_of_the_pinned_releases(installed, series):
    done = subprocess.run([installed, "version"], capture_output=True, text=True, check=True)
    assert VERSIONS[series] == done.stdout.strip().lstrip("v")
    assert json.dumps([key._asdict() for key in KEYS])
