"""Ten projects as people have them, for `litestream init` and what follows it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path


def database(path: Path, rows: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT)")
        connection.executemany("INSERT INTO items (value) VALUES (?)", [("x",)] * rows)
        connection.commit()
    return path


def django(root: Path) -> list[Path]:
    (root / "shop").mkdir()
    (root / "shop/__init__.py").touch()
    (root / "shop/settings.py").write_text(
        "from pathlib import Path\nBASE = Path(__file__).resolve().parent.parent\n"
        "ENGINE = 'django.db.backends.sqlite3'\nDATABASES = {\n"
        "    'default': {'ENGINE': ENGINE, 'NAME': BASE / 'db.sqlite3'},\n"
        "    'logs': {'ENGINE': ENGINE, 'NAME': BASE / 'data' / 'logs.sqlite3'},\n"
        "    'fast': {'ENGINE': ENGINE, 'NAME': ':memory:'},\n"
        "    'old': {'ENGINE': 'django.db.backends.postgresql', 'NAME': 'shop'},\n}\n"
    )
    (root / "manage.py").write_text(
        "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"
    )
    database(root / "other.db")
    return [database(root / "db.sqlite3"), database(root / "data/logs.sqlite3")]


def flask(root: Path) -> list[Path]:
    (root / ".env-of-the-test").write_text("SQLALCHEMY_DATABASE_URI=sqlite:///project.db")
    return [database(root / "instance/project.db")]


def fastapi(root: Path) -> list[Path]:
    (root / ".env-of-the-test").write_text("DATABASE_URL=sqlite+aiosqlite:///./app.db")
    return [database(root / "app.db")]


def datasette(root: Path) -> list[Path]:
    (root / "metadata.json").write_text("{}")
    return [database(root / "fixtures.db"), database(root / "content.sqlite")]


def script(root: Path) -> list[Path]:
    (root / "collect.py").write_text("import sqlite3\n")
    database(root / "test_data.db")
    database(root / ".coverage")
    database(root / ".venv/lib/cache.db")
    return [database(root / "data.db")]


def monorepo(root: Path) -> list[Path]:
    database(root / "services/a/tests/fixture.db")
    database(root / "node_modules/x/y.sqlite")
    (root / "tools/env").mkdir(parents=True)
    return [database(root / f"services/{name}/data/app.db") for name in "abc"]


def many(root: Path) -> list[Path]:
    return [database(root / f"tenants/{number:03}.db", 1) for number in range(500)]


def none(root: Path) -> list[Path]:
    (root / "README").write_text("nothing here")
    return []


def read_only(root: Path) -> list[Path]:
    """Only the directory of the project: its databases are elsewhere, as in a container."""
    data = root.with_name("data")
    (root / ".env-of-the-test").write_text(f"DATABASE_URL=sqlite:///{data}/app.db")
    found = [database(data / "app.db")]
    root.chmod(0o500)
    return found


def odd_names(root: Path) -> list[Path]:
    return [
        database(root / "my app $HOME/données 🎉.db"),
        database(root / 'it\'s "here": {a} [b], & *c.sqlite3'),
        database(root / "$(x) `y` $$ ${PATH}.db"),
    ]


PROJECTS: dict[str, Callable[[Path], list[Path]]] = {
    "Django, two databases": django,
    "Flask-SQLAlchemy": flask,
    "FastAPI": fastapi,
    "Datasette": datasette,
    "a bare script": script,
    "a monorepo": monorepo,
    "500 files": many,
    "none": none,
    "a read-only directory": read_only,
    "spaces, $ and emoji": odd_names,
}


def variables(root: Path) -> dict[str, str]:
    """Return what the project's own environment holds."""
    env = root / ".env-of-the-test"
    return dict([env.read_text().split("=", 1)]) if env.exists() else {}


def make(name: str, directory: Path) -> tuple[Path, list[Path]]:
    """Make a project; return its directory and the databases that belong to it."""
    root = directory / "project"
    root.mkdir(parents=True)
    return root, [Path(os.path.realpath(path)) for path in PROJECTS[name](root)]
