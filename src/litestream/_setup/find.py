"""The SQLite databases of a project: Django's, those of a URL, else the files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import NamedTuple

from litestream._setup import scan

_URLS = ("DATABASE_URL", "SQLALCHEMY_DATABASE_URI", "SQLALCHEMY_DATABASE_URL")
_SQLITE = re.compile(r"sqlite3?(?:\+\w+)?://(?:/(?P<path>[^?]*))?(?:\?.*)?")
_DJANGO = """
import json, sys
sys.path.insert(0, sys.argv[1])
from django.conf import settings
found = [d for d in settings.DATABASES.values() if d.get("ENGINE", "").rpartition(".")[2] in
         ("sqlite3", "spatialite") or "sqlite" in d.get("ENGINE", "")]
print("\\0" + json.dumps([str(d.get("NAME", "")) for d in found]))
"""
_LIMIT = 30.0


class Found(NamedTuple):
    """A database of the project, where it was found, and why it is left out (empty if not)."""

    path: str
    origin: str
    reason: str = ""


def find(root: str) -> list[Found]:
    """Return the databases of the project in a directory, with those that are left out."""
    found = [*_of_django(root), *_of_urls(root)]
    if not any(not each.reason for each in found):
        found += _of_files(root)
    once: dict[str, Found] = {}
    for each in found:
        once.setdefault(each.path, each)
    return list(once.values())


def _of_django(root: str) -> list[Found]:
    module = os.environ.get("DJANGO_SETTINGS_MODULE") or _module(root)
    if not module:
        return []
    origin = f"Django's DATABASES ({module})"
    try:
        done = subprocess.run(
            [sys.executable, "-c", _DJANGO, root],
            cwd=root,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": module},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT,
            check=True,
        )
        names = json.loads(done.stdout.decode().rpartition("\0")[2])
    except (OSError, subprocess.SubprocessError, ValueError):
        return [Found(root, origin, "Django's settings cannot be loaded here")]
    found = []
    for name in names:
        if ":memory:" in name or not name or name.startswith("file:"):
            found.append(Found(name, origin, "it is in memory, or a URI"))
        else:
            found.append(Found(os.path.join(root, name), origin))
    return found


def _module(root: str) -> str:
    """Return the settings module that a project's ``manage.py`` names."""
    try:
        with open(os.path.join(root, "manage.py"), encoding="utf-8") as file:
            match = re.search(r"DJANGO_SETTINGS_MODULE['\"],\s*['\"]([\w.]+)", file.read(100_000))
    except (OSError, UnicodeDecodeError):
        return ""
    return match[1] if match else ""


def _of_urls(root: str) -> list[Found]:
    found = []
    for variable in _URLS:
        match = _SQLITE.fullmatch(os.environ.get(variable, ""))
        if match is None:
            continue
        path = match["path"] or ""
        if path in ("", ":memory:"):
            found.append(Found(variable, variable, "it is in memory"))
            continue
        at = os.path.join(root, path)
        beside = os.path.join(root, "instance", path)  # where Flask-SQLAlchemy keeps it
        if not os.path.exists(at) and os.path.exists(beside):
            at = beside
        found.append(Found(at, variable))
    return found


def _of_files(root: str) -> list[Found]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", scan.__file__, root],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    parts = done.stdout.split(b"\0")[:-1]
    return [
        Found(os.fsdecode(path), "a file", reason.decode())
        for path, reason in zip(parts[::2], parts[1::2], strict=True)
    ]
