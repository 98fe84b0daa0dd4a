"""Python values as the executable's arguments."""

from __future__ import annotations

import os
import re
from typing import TypeAlias

from litestream._database.files import path_of
from litestream._executable.find import find as find_executable
from litestream.configuration import masked
from litestream.errors import ConfigurationError

StrPath: TypeAlias = "str | os.PathLike[str]"
Flag: TypeAlias = "str | int | float | bool | os.PathLike[str] | None"
_ESCAPED = re.compile(r"[^\w.~$&+,/:;=@%-]", re.ASCII)
_URL = re.compile(r"\w+://")


def arguments(verb: str, *positional: str, **flags: Flag) -> list[str]:
    """Return the argv of a command, flags before the positional arguments as Go wants them.

    ``snake_case=True`` becomes ``-snake-case``, ``x=5`` becomes ``-x 5``, None is left out.
    """
    argv = [find_executable(), verb]
    for name, value in flags.items():
        flag = f"-{name.replace('_', '-')}"
        if value is True:
            argv.append(flag)
        elif value is False:
            argv.append(f"{flag}=false")
        elif value is not None:
            argv += [flag, os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
    return [*argv, *positional]


def is_url(database: StrPath) -> bool:
    """Tell whether a database argument is a replica URL rather than a path."""
    return _URL.match(path_of(database)) is not None


def target(database: StrPath) -> str:
    """Return a database argument as upstream looks it up: an absolute path, or a replica URL.

    A leading ``~/`` is the home directory, as in the config. A URL that holds a password is
    refused, because every user of the machine can read a process's arguments; and one of a
    directory that Litestream would not look into.

    Source: both series escape what stands for itself in a ``file://`` URL: ``/my disk`` is
    ``/my%20disk`` to them, and ``/my%20disk`` is that, too.
    """
    text = path_of(database)
    if "\0" in text:
        raise ConfigurationError(f"No path holds a null byte: {text!r}")
    if not is_url(text):
        return os.path.abspath(os.path.expanduser(text))
    if masked(text) != text:
        raise ConfigurationError(
            f"The replica URL {masked(text)} holds a password, which every user of this machine "
            "could read in the process table. Put the replica into a config and name the "
            "database's path instead"
        )
    if text.startswith("file://") and (escaped := _ESCAPED.search(text)):
        raise ConfigurationError(
            f"Litestream would escape the {escaped[0]!r} in {text!r}, and so look into another "
            "directory. Put the directory into a config, as the 'path:' of a replica with 'type: "
            "file', and name the database's path instead"
        )
    return text


def refuse_stray(path: str, line: str) -> None:
    """Refuse a path for which an executable of series ``line`` would open another file.

    Source: both hand the path to SQLite within a URI; 0.3.13 alone escapes ``#`` and ``%``.
    """
    found = [letter for letter in ("?" if line == "0.3" else "#%?") if letter in path]
    if found:
        raise ConfigurationError(
            f"Litestream {line} cannot replicate {path!r}: it takes {' and '.join(found)} for part "
            "of a URI and would open a stray file. Rename the database or its directory"
        )
