"""One database cut out of a config, and the executable that reads it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import litestream
from litestream import commands
from litestream._config import alone
from litestream._config.config import Config
from litestream._executable import run
from tests.test_secrets import CANARY, shown

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from litestream._config.config import ConfigArgument
    from tests.support import Site

HEAD = "# ours — é\naccess-key-id: ${KEY}\ndbs:\n"
TAIL = "# behind\nlogging: {level: warn}\n"
STYLES = {
    "block": """
  # the first — ü
  - path: /a.db
    replicas: [{url: 'file:///a'}] # here
  # the second
  - path: /b.db
    replicas:
      - type: s3
        bucket: 0123
        secret-access-key: "$SECRET"
  - path: /c.db
    replicas: [{url: 'file:///c'}]
""",
    "flow": """
  [{path: /a.db, replicas: [{url: 'file:///a'}]},
   {path: /b.db, replicas: [{type: s3, bucket: 0123, secret-access-key: "$SECRET"}]},
   {path: /c.db, replicas: [{url: 'file:///c'}]}]
""",
    "windows": (
        "- path: /a.db\r\n  replicas: [{url: 'file:///a'}]\r\n"
        "- path: /b.db\r\n  replicas:\r\n  - type: s3\r\n    bucket: 0123\r\n"
        "    secret-access-key: $SECRET\r\n"
    ),
}

in_memory = pytest.mark.skipif(sys.platform != "linux", reason="there are no files in memory")


def cut(config: ConfigArgument, path: str, monkeypatch: pytest.MonkeyPatch, **more: Any) -> str:
    monkeypatch.setattr(alone, "_MANY", 1)
    return Config.load(config, "0.5", **more).alone(path)


def of_text(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "litestream.yml"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("style", STYLES)
def test_a_database_is_cut_out_as_it_is_written(
    style: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "canary")
    monkeypatch.setenv("KEY", "id")
    text = cut(of_text(tmp_path, HEAD + STYLES[style] + TAIL), "/b.db", monkeypatch)
    assert "bucket: 0123" in text  # a number to PyYAML, and text to Litestream
    assert "$SECRET" in text
    assert "canary" not in text
    content = yaml.safe_load(text)
    assert [one["path"] for one in content["dbs"]] == ["/b.db"]
    assert content["access-key-id"] == "${KEY}"
    assert content["logging"] == {"level": "warn"}


@pytest.mark.parametrize(
    "dbs",
    [
        "  - &one {path: /a.db, replicas: [&r {url: 'file:///a'}]}\n"
        "  - {path: /b.db, replicas: [*r]}\n",
        "  - path: /b.db\n    replicas: [{url: 'file:///a'}]\n"
        "  - path: /b.db\n    replicas: [{url: 'file:///b'}]\n",
        "  -   path: /a.db\n      replicas: [{url: 'file:///a'}]\n"
        "  - path: /b.db\n    replicas: [{url: 'file:///b'}]\n",
        "$ENTRIES",
    ],
    ids=["an alias", "twice", "another indentation", "in a variable"],
)
def test_what_cannot_be_cut_out_is_left_whole(
    dbs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = "{path: /b.db, replicas: [{url: 'file:///b'}]}"
    monkeypatch.setenv("ENTRIES", f" [{{path: /a.db, replicas: [{{url: 'file:///a'}}]}}, {entry}]")
    assert cut(of_text(tmp_path, HEAD + dbs + TAIL), "/b.db", monkeypatch) == ""


def test_a_database_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = of_text(tmp_path, HEAD + STYLES["block"])
    assert cut(config, "/other.db", monkeypatch) == ""


def test_a_short_config_is_read_as_it_is(tmp_path: Path) -> None:
    config = Config.load(of_text(tmp_path, HEAD + STYLES["block"]), "0.5")
    assert config.alone("/b.db") == ""


def test_a_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    text = cut({"/a.db": "file:///a", "/b.db": "file:///$b"}, "/b.db", monkeypatch)
    replica = {"type": "file", "path": "/$b"}
    assert json.loads(text)["dbs"] == [{"path": "/b.db", "replicas": [replica]}]


def test_a_directory_has_only_the_database_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"dir": f"{tmp_path}", "pattern": "*.db", "replica": {"path": "/copies"}}
    config = of_text(tmp_path, json.dumps({"dbs": [entry]}))
    text = cut(config, str(tmp_path / "b.db"), monkeypatch)
    assert [one["path"] for one in json.loads(text)["dbs"]] == [str(tmp_path / "b.db")]


class TestTheExecutable:
    """It reads memory in place of the file."""

    @pytest.fixture
    def starts(self, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        """Return the arguments of what is started."""
        found: list[list[str]] = []
        popen = subprocess.Popen

        def started(argv: list[str], **options: Any) -> subprocess.Popen[bytes]:
            found.append(list(map(str, argv)))
            return popen(argv, **options)

        monkeypatch.setattr(subprocess, "Popen", started)
        return found

    @pytest.fixture
    def many(self, site: Site) -> Site:
        """Return a site whose database is one of hundreds."""
        content = json.loads(site.config.read_text())
        (entry,) = content["dbs"]
        others = [
            {**entry, "path": f"/nowhere/{n}.db", "replicas": [{"type": "file", "path": f"/{n}"}]}
            for n in range(200)
        ]
        site.write(3)
        site.back_up(snapshot=True)
        site.config.write_text(json.dumps({**content, "dbs": [*others, entry]}))
        return site

    @in_memory
    def test_a_restore_and_a_listing_and_a_proof(self, many: Site, starts: list[list[str]]) -> None:
        copy = many.directory / "copy.db"
        commands.restore(many.database, copy, config=many.config)
        assert many.rows(copy) == many.rows()
        assert commands.wal(many.database, config=many.config)
        with litestream.Replication({many.database: many.replica}):
            proved = litestream.verify(many.database, exact=True, config=many.config)
        assert proved.exact
        asked = [argv for argv in starts if argv[1] in ("restore", "wal", "ltx")]
        read = {argv[argv.index("-config") + 1].rpartition("/")[0] for argv in asked}
        assert read == {"/dev/fd"}

    @pytest.mark.only_series("0.3")  # 0.5 refuses such a config
    def test_the_first_of_two_entries_of_a_database_counts(self, many: Site) -> None:
        content = json.loads(many.config.read_text())
        entry = content["dbs"][-1]
        empty = [{"type": "file", "path": str(many.directory / "empty")}]
        content["dbs"].append({**entry, "path": f"/{many.database}", "replicas": empty})
        many.config.write_text(json.dumps(content))
        assert commands.wal(f"/{many.database}", config=many.config)

    def test_an_error_names_the_file(self, many: Site) -> None:
        copy = many.directory / "copy.db"
        with pytest.raises(litestream.CommandFailedError) as caught:
            commands.restore("/nowhere/7.db", copy, config=many.config)
        assert str(many.config) in caught.value.argv

    @in_memory
    def test_a_long_config(self, many: Site, starts: list[list[str]]) -> None:
        text = many.config.read_text()
        many.config.write_text(f"# {'long ' * 200000}\n{text}")
        copy = many.directory / "copy.db"
        commands.restore(many.database, copy, config=many.config)
        assert many.rows(copy) == many.rows()
        assert not any(str(many.config) in argv for argv in starts if argv[1] == "restore")

    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_a_process_that_is_forked_meanwhile_delays_nothing(self, many: Site) -> None:
        """It inherits whatever is open just then, and lives on: as a worker of a pool does."""
        forked: list[int] = []

        def fork(frame: FrameType, event: str, argument: object) -> None:
            if event == "c_call" and frame.f_code.co_filename == run.__file__ and len(forked) < 30:
                child = os.fork()
                if not child:
                    sys.setprofile(None)
                    signal.pause()
                forked.append(child)

        copy = many.directory / "copy.db"
        try:
            sys.setprofile(fork)
            commands.restore(many.database, copy, config=many.config, timeout=10)
        finally:
            sys.setprofile(None)
            for child in forked:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        assert forked
        assert many.rows(copy) == many.rows()

    def test_a_file_in_memory_that_cannot_be_opened(
        self, many: Site, starts: list[list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As a confined process may not."""
        opened = os.open

        def refused(path: Any, *more: Any, **options: Any) -> int:
            if str(path).startswith("/dev/fd/"):
                raise PermissionError(errno.EACCES, "Permission denied", path)
            return opened(path, *more, **options)

        monkeypatch.setattr(os, "open", refused)
        assert commands.wal(many.database, config=many.config)
        listings = [argv for argv in starts if argv[1] in ("wal", "ltx")]
        assert listings
        assert all(str(many.config) in argv for argv in listings)

    @in_memory
    def test_no_secret_in_the_locals_of_an_interrupted_call(
        self, many: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = json.loads(many.config.read_text())
        many.config.write_text(json.dumps({**content, "secret-access-key": CANARY}))
        opened = os.open

        def interrupted(path: Any, *more: Any, **options: Any) -> int:
            if str(path).startswith("/dev/fd/"):
                raise KeyboardInterrupt
            return opened(path, *more, **options)

        monkeypatch.setattr(os, "open", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            commands.wal(many.database, config=many.config)
        assert CANARY not in shown(caught.value)
