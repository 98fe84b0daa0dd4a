"""Python values as the executable's arguments, and the config that a call is for."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from litestream._config import paths
from litestream._config.config import Config
from litestream._executable.find import find as find_executable
from litestream._executable.series import series
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestream._config.config import ConfigArgument
    from litestream._config.paths import StrPath

Flag: TypeAlias = "str | int | float | bool | os.PathLike[str] | None"


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


@contextmanager
def loaded(config: ConfigArgument, *, expand_env: bool = True) -> Iterator[Config]:
    """Load the config of a public call, for as long as the block runs."""
    found = Config.load(config, series(), expand_env=expand_env)
    try:
        yield found
    finally:
        if found is not config:  # whoever has loaded the config closes it
            found.close()


@contextmanager
def located(
    database: StrPath, config: ConfigArgument, *, expand_env: bool = True
) -> Iterator[tuple[str, Config | None]]:
    """Give a database as the executable looks it up: a path and its config, or a replica URL alone.

    A directory whose URL Litestream would escape becomes the replica in a config of ours. Its
    database is a file that exists and has just changed: 0.3.13 computes the lag from that.
    """
    name = paths.target(database)
    if paths.is_url(name):
        if not paths.escaped(name):
            yield name, None
            return
        folder = paths.directory(name)
        name = os.path.realpath(tempfile.gettempdir())
        config = {name: {"type": "file", "path": folder}}
    with loaded(config, expand_env=expand_env) as found:
        found.include(name)
        yield name, found


def require_positive(timeout: float | None) -> None:
    """Refuse a time limit in which nothing can be done.

    Raises:
        ConfigurationError: It is not more than 0.

    """
    if timeout is not None and not timeout > 0:
        raise ConfigurationError(f"timeout={timeout} must be more than 0 seconds")


def alone(config: Config | None, database: str) -> str:
    """Return the text that the executable reads for one database, where the config is long."""
    return config.alone(database) if config else ""


def config_flags(config: Config | None) -> dict[str, Flag]:
    """Return the flags that name a config."""
    return {"config": config.file, **config.flags} if config else {}
