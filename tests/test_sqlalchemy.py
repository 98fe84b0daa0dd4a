"""``litestream.sqlalchemy`` with real engines and a real Alembic, as docs/sqlalchemy.md has it."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

import litestream
import litestream.sqlalchemy
from tests.servers import Page
from tests.support import Site

PAGE = Page("sqlalchemy")
(MODELS,) = PAGE.files("models.py")
(ENV,) = PAGE.files("env.py")
(ASYNCHRONOUS,) = PAGE.code()
PRAGMAS = ("journal_mode", "synchronous", "wal_autocheckpoint", "busy_timeout")
WANTED = ["wal", 1, 0, 5000]


def test_every_connection_has_the_settings(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    assert engine is litestream.sqlalchemy.configure(litestream.sqlalchemy.configure(engine))
    with engine.connect() as first, engine.connect() as second:
        for connection in (first, second):
            found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in PRAGMAS]
            assert WANTED == found
            driver = connection.connection.driver_connection
            if sys.version_info >= (3, 12):
                assert driver.getconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE)
    engine.dispose()


def test_the_connections_of_an_asynchronous_engine(tmp_path: Path) -> None:
    async def pragmas() -> list[object]:
        url = f"sqlite+aiosqlite:///{tmp_path}/app.db"
        engine = litestream.sqlalchemy.configure(
            create_async_engine(url, connect_args={"timeout": 7})
        )
        async with engine.connect() as connection:
            found = [await connection.scalar(text(f"PRAGMA {name}")) for name in PRAGMAS]
        await engine.dispose()
        return found

    assert [*WANTED[:3], 7000] == asyncio.run(pragmas())


def test_what_cannot_be_configured_is_refused(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    with engine.connect():
        pass
    with pytest.raises(litestream.ConfigurationError, match="already has connections"):
        litestream.sqlalchemy.configure(engine)
    engine.dispose()
    other = create_engine("mysql+pymysql://host/app", module=sqlite3)
    with pytest.raises(litestream.ConfigurationError, match=r"The engine is mysql\+pymysql"):
        litestream.sqlalchemy.configure(other)


@pytest.mark.only_series("0.5")
def test_alembic_leaves_our_tables_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = site.directory
    (directory / "models.py").write_text(MODELS)
    (directory / "alembic").mkdir()
    (directory / "alembic.ini").write_text("[alembic]\nscript_location = alembic\n")
    (directory / "alembic" / "env.py").write_text(ENV)
    monkeypatch.chdir(directory)
    site.connection.execute("DROP TABLE items")
    create = "import models; models.Base.metadata.create_all(models.engine)"
    subprocess.run([sys.executable, "-c", create], check=True)

    def check() -> str:
        argv = [sys.executable, "-m", "alembic", "check"]
        done = subprocess.run(argv, capture_output=True, text=True)
        return done.stdout + done.stderr

    with litestream.Replication(site.config):
        exec(compile(ASYNCHRONOUS, "sqlalchemy.md", "exec"), {})
        litestream.verify(site.database, config=site.config)
        tables = {name for (name,) in site.connection.execute("SELECT name FROM sqlite_schema")}
        assert {"_litestream_seq", "_litestream_verification"} <= tables
        assert "No new upgrade operations" in check()
        (directory / "alembic" / "env.py").write_text(
            ENV.replace("        include_name=litestream.sqlalchemy.include_name,\n", "")
        )
        assert "_litestream_verification" in check()
    assert ("one",) in site.connection.execute("SELECT value FROM items").fetchall()
