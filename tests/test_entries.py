"""What a config says of its databases, and the mistakes in it that Litestream keeps quiet about."""

from __future__ import annotations

import pytest

import litestream
from litestream import _entries

FILE = {"type": "file", "path": "/backups"}


@pytest.mark.parametrize(
    ("line", "entry", "message"),
    [
        ("0.3", {"path": "/a.db", "replica": FILE}, "0.3 ignores 'replica:'"),
        ("0.5", {"path": "/a.db"}, "copied nowhere"),
        ("0.5", {"path": "/a.db", "replicas": [FILE, FILE]}, "takes one"),
        ("0.5", {"path": "/a.db", "replicas": FILE}, "list of mappings"),
        ("0.5", {"path": "/a.db", "replicas": ["x"]}, "list of mappings"),
        ("0.5", {"path": "/a%41.db", "replicas": [FILE]}, "stray file"),
        ("0.3", {"dir": "/data", "replicas": [FILE]}, "no 'path:'"),
        ("0.3", "/a.db", "no mapping"),
    ],
)
def test_a_mistake_is_named(line, entry, message):
    with pytest.raises(litestream.ConfigurationError, match=message):
        _entries.entries({"dbs": [entry]}, line)


@pytest.mark.parametrize("content", [{}, {"dbs": None}, {"dbs": []}])
def test_no_database_is_a_mistake(content):
    with pytest.raises(litestream.ConfigurationError, match="names no database"):
        _entries.entries(content, "0.5")


def test_what_an_entry_says(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    content = {"sync-interval": "2m30s", "dbs": [{"path": "~/a.db", "replica": FILE}]}
    (entry,) = _entries.entries(content, "0.5")
    assert str(tmp_path / "a.db") == entry.path
    assert str(tmp_path / ".a.db-litestream") == entry.meta
    assert (150.0, [FILE]) == (entry.interval, entry.replicas)


def test_a_scheme_is_a_part_of_the_path_on_0_3_alone(tmp_path):
    content = {"dbs": [{"path": "sqlite:///a.db", "replicas": [FILE]}]}
    assert ["/a.db"] == [entry.path for entry in _entries.entries(content, "0.5")]
    assert ["/a.db"] != [entry.path for entry in _entries.entries(content, "0.3")]


def test_a_directory_stands_for_the_files_in_it(tmp_path):
    for name in ("one.db", "two.db", "other.txt", "deep/three.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    entry = {"dir": str(tmp_path), "pattern": "*.db", "replica": FILE}

    def names(**more):
        found = _entries.entries({"dbs": [{**entry, **more}]}, "0.5")
        return sorted(path.path.removeprefix(f"{tmp_path}/") for path in found)

    assert ["one.db", "two.db"] == names()
    assert ["deep/three.db", "one.db", "two.db"] == names(recursive=True)
    assert [] == names(pattern="*.none")


@pytest.mark.parametrize(
    ("replica", "directory"),
    [
        (FILE, "/backups"),
        ({"url": "file:///backups"}, "/backups"),
        ({"type": "s3", "path": "x"}, None),
        ({"url": "s3://bucket/x"}, None),
        ({"path": "s3://bucket/x"}, None),
    ],
)
def test_the_directory_of_a_replica(replica, directory):
    assert directory == _entries.directory(replica)
