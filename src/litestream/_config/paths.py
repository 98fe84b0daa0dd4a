"""A database argument: the path of a file, or a replica URL."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from litestream._database.files import path_of
from litestream._settings import masked
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

StrPath: TypeAlias = "str | os.PathLike[str]"
_URL = re.compile(r"\w+://")
_ESCAPED = re.compile(r"[^\w.~$&+,/:;=@%-]", re.ASCII)


def is_url(database: StrPath) -> bool:
    """Tell whether a database argument is a replica URL rather than a path."""
    return _URL.match(path_of(database)) is not None


def refuse_url(database: StrPath) -> None:
    """Refuse a replica URL in place of a database."""
    if is_url(database):
        shown = masked(os.fsdecode(database))
        raise ConfigurationError(f"{shown!r} is a replica URL. Name the database")


def target(database: StrPath) -> str:
    """Return a database argument as upstream looks it up: an absolute path, or a replica URL.

    A leading ``~/`` is the home directory. A URL with a password is refused, because every user of
    the machine can read a process's arguments.
    """
    return _target(path_of(database), os.path.expanduser)


def of_config(path: str) -> str:
    """Return a path in the config as the executable looks it up: absolute, or a replica URL."""
    return _target(path, with_home)


def with_home(path: str) -> str:
    """Replace a leading ``~`` by this user's home directory.

    Source: both series ask the user database, whatever HOME says; ``~NAME`` is a file's name.
    """
    if path == "~" or path.startswith("~/"):
        import pwd

        with suppress(KeyError):  # the executable says what is wrong
            return pwd.getpwuid(os.getuid()).pw_dir + path[1:]
    return path


def _target(text: str, expand: Callable[[str], str]) -> str:
    if "\0" in text:
        raise ConfigurationError(f"The path {text!r} contains a null byte. Name an existing file")
    if not is_url(text):
        # Python keeps two leading slashes; Go does not, and in SQLite's URIs a host would follow.
        return "/" + os.path.abspath(expand(text)).lstrip("/")
    if masked(text) != text:
        raise ConfigurationError(
            f"The replica URL {masked(text)} holds a password, which every user of this machine "
            "could read in the process table. Put the replica into a config and name the "
            "database's path instead"
        )
    return text


def refuse_link(path: str) -> None:
    """Refuse a database of the config that is a symbolic link, even one that leads nowhere.

    Source: SQLite keeps the WAL beside the file to which a link leads; both series look for the WAL
    beside the link, and so copy nothing, or an old file that lies there.
    """
    if os.path.islink(path):
        file = os.path.realpath(path)
        raise ConfigurationError(
            f"The database {path!r} is a symbolic link to {file!r}. SQLite keeps its WAL beside "
            "that file, and Litestream would look for it beside the link: no change would be "
            f"copied. Write the file itself into the config: 'path: {file}'"
        )


def absolute(path: str, base: str) -> str:
    """Return a path of the config as an absolute path; a relative one refers to ``base``.

    A variable, a home directory and a replica URL stay as they are written.
    """
    is_relative = path and not path.startswith(("/", "~")) and not is_url(path)
    return os.path.join(base, path) if is_relative else path


def escaped(url: str) -> str:
    """Return the characters of a directory's URL that Litestream escapes, and so misreads.

    Source: both series escape such characters in a ``file://`` URL, so they read both ``/my disk``
    and ``/my%20disk`` as ``/my%20disk``.
    """
    return "".join(_ESCAPED.findall(url)) if url.lower().startswith("file://") else ""


def directory(url: str) -> str:
    """Return the directory of a ``file://`` URL, without unescaping.

    Source: both series take a URL's host for the beginning of the path.
    """
    return os.path.normpath("/" + url.partition("://")[2].lstrip("/"))


def stray(path: str, series: str) -> list[str]:
    """Return the characters for which an executable of the series would open another file.

    Source: both series pass the path to SQLite in a URI; only 0.3.13 escapes ``#`` and ``%``.
    """
    return [letter for letter in ("?" if series == "0.3" else "#%?") if letter in path]


def refuse_stray(path: str, series: str) -> None:
    """Refuse a path if an executable of the series would open another file."""
    if found := stray(path, series):
        raise ConfigurationError(
            f"Litestream {series} cannot replicate {path!r}: it takes {' and '.join(found)} for "
            "part of a URI and would open a stray file. Rename the database or its directory"
        )
