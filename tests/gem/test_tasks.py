"""What the gem's tests check of its tasks: here they are the words of the command line.

What differs, and why:

- The tasks take the database as ``-database=`` or ``--database=``, because a task of Rake's has no
  arguments of its own. Litestream's verbs take it as the last word, and our command hands their
  words on as they are. So the gem's form is an error.
- The tasks take their options behind ``--`` and leave them out without a word where it lacks.
  Here there is none to forget, and one too many ends the options, as everywhere.
- The task for the variables prints ``NAME=`` for one without a value. That sets it to nothing in a
  shell that reads it. Our command says that it is not set.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.gem.conftest import configure

COMMAND = Path(sys.executable).with_name("litestream")
LISTINGS = ("generations", "snapshots", "wal")
DATABASE = ("restore", *LISTINGS)


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COMMAND), *map(str, words)], capture_output=True, text=True, timeout=120
    )


def test_variables_without_a_value() -> None:
    done = run("env")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "# LITESTREAM_REPLICA_BUCKET is not set",
        "# LITESTREAM_REPLICA_REGION is not set",
        "# LITESTREAM_REPLICA_ENDPOINT is not set",
        "# LITESTREAM_ACCESS_KEY_ID is not set",
        "# LITESTREAM_SECRET_ACCESS_KEY is not set",
    ]
    shell = subprocess.run(["sh"], input=done.stdout + "set", capture_output=True, text=True)
    assert "LITESTREAM_" not in shell.stdout


@pytest.mark.parametrize("verb", ["replicate", "databases"])
class TestOfTheConfig:
    def test_no_words(self, verb: str, config: Path, backup: Path) -> None:
        done = run(verb, *(["-exec", "true"] if verb == "replicate" else []))
        assert done.returncode == 0, done.stderr
        assert str(backup / "app.db") in done.stdout

    @pytest.mark.parametrize("option", ["-no-expand-env", "--no-expand-env"])
    def test_an_option_behind_the_verb(
        self, verb: str, option: str, backup: Path, tmp_path: Path
    ) -> None:
        database = (backup / "app.db").rename(backup / "$HOME.db")
        configure(tmp_path / "litestream.yml", database, backup)
        words = [option, *(["-exec", "true"] if verb == "replicate" else [])]
        assert str(database) in run(verb, *words).stdout
        assert str(database) not in run(verb, *words[1:]).stdout

    def test_an_option_behind_two_dashes(self, verb: str, config: Path) -> None:
        done = run(verb, "--", "--no-expand-env")
        assert done.returncode == 1
        assert done.stderr


@pytest.mark.parametrize("verb", DATABASE)
class TestOfADatabase:
    @pytest.fixture(autouse=True)
    def _beside(self, config: Path, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config.parent.rename(backup / "config")
        monkeypatch.chdir(backup)

    @staticmethod
    def words(verb: str) -> list[str]:
        return ["-o", "copy.db"] if verb == "restore" else []

    @pytest.mark.parametrize("dashes", [[], ["--"]])
    def test_it_is_the_last_word(self, verb: str, dashes: list[str], backup: Path) -> None:
        done = run(verb, *self.words(verb), *dashes, "app.db")
        assert done.returncode == 0, done.stderr
        assert Path("copy.db").exists() if verb == "restore" else len(done.stdout.splitlines()) > 1

    @pytest.mark.parametrize("form", ["-database=app.db", "--database=app.db"])
    def test_the_gems_form_is_named_in_the_error(self, verb: str, form: str) -> None:
        done = run(verb, *self.words(verb), form)
        assert done.returncode != 0
        # where the verb is ours (0.5 has no such verb), its usage says where the database goes
        assert "not defined: -database" in done.stderr or "DB_PATH" in done.stderr
        assert not Path("copy.db").exists()

    @pytest.mark.parametrize("form", ["-database=app.db", "--database=app.db"])
    def test_behind_two_dashes_it_is_a_name(self, verb: str, form: str) -> None:
        done = run(verb, *self.words(verb), "--", form)
        assert done.returncode == 1
        assert f"/{form}" in done.stdout + done.stderr
        assert not Path("copy.db").exists()

    def test_an_option_with_it(self, verb: str) -> None:
        done = run(verb, "-if-db-not-exists", "app.db")
        if verb == "restore":
            assert (done.returncode, "already exists" in done.stdout) == (0, True)
        else:
            assert done.returncode != 0
            assert "-if-db-not-exists" in done.stderr

    def test_none(self, verb: str) -> None:
        done = run(verb, *self.words(verb))
        assert done.returncode != 0
        said = done.stdout + done.stderr
        assert "database path" in said or "DB_PATH" in said
