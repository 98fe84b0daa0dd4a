"""What the gem's tests check of its commands, checked here with the executables of both series.

The gem looks at the arguments that a stub gets. Here the executable itself shows what reached it:
by the database that it knows, by what it prints, or by the option that it refuses. What differs:

- The gem writes the variables into the application's own environment. Here the executable alone
  has them.
- Ruby has options with a string and with a symbol as their name. Python has keyword arguments.
- A config that does not exist is an error before anything runs. So a test names one that exists.
- ``restore`` writes beside the database where the gem leaves that to ``-o``, and answers
  ``if_db_not_exists`` itself. So the executable is not asked at all when the file is there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

import litestream
from litestream import commands
from tests.gem.conftest import NAMES, configure

LISTINGS = ("generations", "snapshots", "wal")
VERBS = ("replicate", "restore", "databases", *LISTINGS)


def names(verb: str, database: Path, printed: Any, **options: Any) -> bool:
    """Run a command, and say whether the executable's config has this database."""
    if verb == "databases":
        return [row["path"] for row in commands.databases(**options)] == [str(database)]
    if verb == "replicate":
        commands.replicate(exec="true", **options)
        # 0.3 says it of a database that is there, 0.5 of every one
        return f"path={database}\n" in re.sub(r" replica=.*", "", printed.readouterr().out)
    try:
        return bool(getattr(commands, verb)(database, **options))
    except litestream.LitestreamError as error:
        if "not found in config" in str(error):
            return False
        raise


@pytest.mark.parametrize("verb", VERBS)
class TestConfig:
    def test_it_is_found(self, verb: str, config: Path, backup: Path, capfd: Any) -> None:
        assert names(verb, backup / "app.db", capfd)

    def test_another_can_be_named(
        self, verb: str, config: Path, backup: Path, tmp_path: Path, capfd: Any
    ) -> None:
        other = (backup / "app.db").rename(backup / "other.db")
        named = configure(tmp_path / "named.yml", other, backup)
        assert not names(verb, other, capfd)
        assert names(verb, other, capfd, config=named)

    def test_another_can_be_set(
        self, verb: str, config: Path, backup: Path, tmp_path: Path, capfd: Any
    ) -> None:
        other = (backup / "app.db").rename(backup / "other.db")
        litestream.configure(config=configure(tmp_path / "production.yml", other, backup))
        assert names(verb, other, capfd)


class TestOptions:
    @pytest.mark.parametrize("verb", ["replicate", "databases"])
    @pytest.mark.parametrize("option", [{"no_expand_env": True}, {"expand_env": False}])
    def test_a_switch(
        self, verb: str, option: dict[str, bool], backup: Path, tmp_path: Path, capfd: Any
    ) -> None:
        """The others have it in ``test_reach.py``."""
        database = (backup / "app.db").rename(backup / "$HOME.db")
        configure(tmp_path / "litestream.yml", database, backup)
        assert not names(verb, database, capfd)
        assert names(verb, database, capfd, **option)

    def test_a_value(self, config: Path, backup: Path, capfd: Any) -> None:
        assert commands.restore(backup / "app.db", parallelism=10)
        commands.replicate(exec="echo it reached a shell")
        assert "it reached a shell" in capfd.readouterr().out

    @pytest.mark.parametrize("verb", LISTINGS)
    @pytest.mark.parametrize("option", [{"if_db_not_exists": True}, {"parallelism": 10}])
    def test_one_that_the_executable_does_not_know(
        self, verb: str, option: dict[str, Any], config: Path, backup: Path
    ) -> None:
        """The gem's stub takes every option. The executable names the one that it refuses."""
        (name,) = option
        with pytest.raises(litestream.CommandFailedError) as failed:
            getattr(commands, verb)(backup / "app.db", **option)
        assert f"not defined: -{name.replace('_', '-')}" in failed.value.reason

    def test_one_that_databases_does_not_know(self, config: Path) -> None:
        with pytest.raises(litestream.CommandFailedError, match="not defined: -exec"):
            commands.databases(exec="true")

    def test_a_database_that_is_there_needs_no_restore(self, config: Path, backup: Path) -> None:
        assert commands.restore(backup / "app.db", backup / "app.db", if_db_not_exists=True) is None

    @pytest.mark.parametrize("verb", ["restore", *LISTINGS])
    def test_a_database_is_required(self, verb: str, config: Path) -> None:
        with pytest.raises((TypeError, litestream.LitestreamError), match="database"):
            getattr(commands, verb)(None)


BUCKET, KEY_ID, ACCESS_KEY = (
    {"replica_bucket": "mybkt"},
    {"replica_key_id": "mykey"},
    {"replica_access_key": "access"},
)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("settings", "before", "expected"),
    [
        (BUCKET, {}, "mybkt--"),
        (KEY_ID, {}, "-mykey-"),
        (ACCESS_KEY, {}, "--access"),
        (BUCKET | KEY_ID | ACCESS_KEY, {}, "mybkt-mykey-access"),
        (BUCKET | KEY_ID | ACCESS_KEY, dict.fromkeys(NAMES, "mine"), "mine-mine-mine"),
    ],
    ids=["bucket", "key id", "access key", "all", "all are set"],
)
def test_variables(
    verb: str,
    settings: dict[str, Any],
    before: dict[str, str],
    expected: str,
    backup: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Any,
) -> None:
    """The settings fill the three variables, each alone and together; one that is set wins."""
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    found = dict(os.environ)
    litestream.configure(**settings)
    database = (backup / "app.db").rename(backup / f"{expected}.db")
    path = backup / ("-".join(f"${name}" for name in NAMES) + ".db")
    configure(tmp_path / "litestream.yml", path, backup)
    assert names(verb, database, capfd)
    assert dict(os.environ) == found
