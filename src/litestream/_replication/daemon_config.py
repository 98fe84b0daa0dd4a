"""The config that a daemon of ours reads: the user's own, but for the control socket or the log."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream import _settings
from litestream._check.check import require_sound
from litestream._config import file as config_file
from litestream._config import runtime_directory
from litestream._config.config import DEFAULT_SOCKET, Config
from litestream._config.database import databases_of
from litestream._executable.arguments import arguments, config_flags
from litestream._executable.find import find as find_executable
from litestream._executable.series import require_known_files, version
from litestream._supervision.job import Database as JobDatabase
from litestream._supervision.job import Job
from litestream.errors import ConfigurationError, ReplicationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from litestream._config.database import Database
    from litestream._config.directories import Directory


_ABOVE_INFO = {"WARN": ("INFO",), "WARNING": ("INFO",), "ERROR": ("INFO", "WARN")}
"""What a log level of the config leaves out (0.3: cmd/litestream/main.go)."""


class Prepared(NamedTuple):
    """A daemon that can be started."""

    argv: list[str]
    config: Config
    """The config as the daemon has it."""
    databases: list[Database]
    socket: str
    """The control socket's path; empty where there is none."""
    directory: str
    """A private run-time directory, to be removed with what is in it; empty when none is needed."""
    text: str = ""
    """The text of our own config in `directory`; a `Text`."""
    directories: Sequence[Directory] = ()
    """Those of the config, watched or not."""
    unasked: tuple[str, ...] = ()
    """Levels of the daemon's log lines that the user's config does not ask for."""

    @property
    def locks(self) -> list[str]:
        """Return what is locked while it runs: directories first, as they stay."""
        return [*(one.lock for one in self.directories), *(one.path for one in self.databases)]

    def job(self, **options: Any) -> Job:
        """Return the job of a keeper; ``options`` are those of ``Job`` that have defaults."""
        return Job(
            self.argv,
            self.config.series,
            [JobDatabase(one.path, one.meta, one.interval) for one in self.databases],
            self.socket,
            self.directory,
            directories=tuple(one.lock for one in self.directories),
            watched=tuple(
                one.path
                for one in self.databases
                if any(d.watch and d.holds(one.path) for d in self.directories)
            ),
            unasked=self.unasked,
            config=self.text,
            **options,
        )


def sound(config: Config) -> Config:
    """Return a config, unless there is an error in the file.

    Raises:
        ConfigurationError: The config would not do what it says; every error is named.

    """
    if config.path:
        require_sound(config.path, version(find_executable()), literal=config.literal)
    return config


def prepare(
    config: Config, interval: float, *, only: Collection[str] | None = None, directory: str = ""
) -> Prepared:
    """Say how to start a daemon on a config that is `sound`.

    The user's config is passed on as it is written, environment references included. Only the
    control socket is added, where the config has no ``socket:`` (0.5), and a log level above
    "info" is lowered (0.3): the log alone says what has arrived, and what an end has spoilt.

    For a mapping, changes are looked for every ``interval`` seconds, and sent as often if the
    replica has no interval of its own. Directories are listed now, or ``only`` the given databases
    are in them. Where there is a run-time ``directory`` already, nothing is written: the keeper
    does that.

    Raises:
        ConfigurationError: The config is not one that replicates something.
        ReplicationError: There is no room for our own config.

    """
    require_known_files()
    source = config.spelt_out(lost=False, only=only)
    content = source.content if config.path else _with_intervals(config.content, interval)
    if content.get("exec"):
        raise ConfigurationError(
            f"The config {config.path!r} has 'exec:', which would run again whenever it ends. Take "
            "it out, and run the command by 'litestream run -- COMMAND'"
        )
    if source is not config and not content["dbs"] and not is_watched(config):
        shown = ", ".join(repr(directory.shown) for directory in config.directories)
        raise ConfigurationError(
            f"There is no database at {shown}, and 'watch:' is off, so a database that appears "
            "later would not be replicated. Write 'watch: true' into the entry, or create a "
            "database before the start"
        )
    text = source.text if config.path else config_file.as_yaml(content)
    written = Config(config.series, config.path, content, literal=config.literal)
    found = databases_of(written) if content["dbs"] or source is config else []
    given, socket, path = directory, "", config.path
    own = content.get("socket")
    if config.series == "0.5" and isinstance(own, dict):
        socket = str(own.get("path") or DEFAULT_SOCKET) if own.get("enabled") else ""
    switches_on = config.series == "0.5" and not isinstance(own, dict)
    unasked = _unasked(content) if config.series == "0.3" else ()
    if switches_on or unasked or source is not config or not path:
        try:
            directory = given or runtime_directory.make()
            if switches_on:
                socket = os.path.join(directory, "litestream.sock")
                text = _with_socket(text, content, socket, config)
            if unasked:
                text = _with_all_logged(text, content, config)
            path = os.path.join(directory, "litestream.yml")
            if not given:
                runtime_directory.write(directory, text)
        except BaseException as error:
            if not given:
                runtime_directory.remove(directory)
            if isinstance(error, OSError):
                raise ReplicationError(
                    "The config for Litestream cannot be written to a temporary directory "
                    f"{directory!r}: {error.strerror}. Make room there, or set TMPDIR"
                ) from error
            raise
    daemon = config.of_daemon(path, content, socket)
    databases = [one._replace(config=daemon) for one in found]
    argv = arguments("replicate", **config_flags(daemon))
    own_text = text if directory else ""
    return Prepared(
        argv, daemon, databases, socket, directory, own_text, config.directories, unasked
    )


def is_watched(config: Config) -> bool:
    """Tell whether databases that appear are to be replicated, too."""
    return any(directory.watch for directory in config.directories)


def _with_intervals(content: Mapping[str, Any], interval: float) -> dict[str, Any]:
    every = f"{round(interval * 1000)}ms"

    def one(entry: Mapping[str, Any]) -> Mapping[str, Any]:
        replicas = [
            _settings.Content({"sync-interval": every, **replica}) for replica in entry["replicas"]
        ]
        return _settings.Content(entry, replicas=replicas, **{"monitor-interval": every})

    return _settings.Content(content, dbs=[one(entry) for entry in content["dbs"]])


def _unasked(content: Mapping[str, Any]) -> tuple[str, ...]:
    logging = content.get("logging")
    level = logging.get("level") if isinstance(logging, dict) else None
    return _ABOVE_INFO.get(str(level).upper(), ())


def _with_all_logged(text: str, content: Mapping[str, Any], config: Config) -> str:
    """Write "info" in the place of the log level in a config's text, and change nothing else."""
    logging = {**content["logging"], "level": "info"}
    wanted = _settings.Content({**content, "logging": logging})
    place = config_file.place_of(text, "logging", "level")
    if place is not None:
        start, end = place
        changed = _settings.Text(f"{text[:start]}info{text[end:]}")
        with suppress(ConfigurationError):
            if _reads_as(changed, wanted, config):
                return changed
    raise ConfigurationError(
        f"The config {config.path!r} has a log level that hides what Litestream 0.3 has "
        "copied, and it cannot be changed for the daemon. Write 'level: info' below 'logging:'"
    )


def _reads_as(text: str, wanted: Mapping[str, Any], config: Config) -> bool:
    read = text if config.literal else config_file.expand(text)
    return config_file.parse(read, config.path) == wanted


def _with_socket(text: str, content: Mapping[str, Any], socket: str, config: Config) -> str:
    """Add the control socket to a config's text, and nothing else."""
    settings = {"enabled": True, "path": socket}
    wanted = _settings.Content({**content, "socket": settings})
    if not config.path:
        return config_file.as_yaml(wanted)
    for extended in _extended(text, json.dumps(settings, ensure_ascii=False)):
        with suppress(ConfigurationError):
            if _reads_as(extended, wanted, config):
                return extended
    raise ConfigurationError(
        f"The config {config.path!r} leaves no place to switch the control socket on: write "
        "'socket:' into it, as in socket: {enabled: true, path: /run/litestream.sock}"
    )


def _extended(text: str, socket: str) -> Iterator[str]:
    """Yield texts with the control socket added; the caller takes the first one that is valid."""
    yield _settings.Text(f"{text}\n\nsocket: {socket}\n")
    at = len(text)
    while (at := text.rfind("}", 0, at)) >= 0:  # a mapping in braces, a comment behind it
        for comma in (", ", ""):
            yield _settings.Text(f'{text[:at]}{comma}"socket": {socket}{text[at:]}')
    for mark in re.finditer(r"^\.\.\.", text, re.MULTILINE):  # the end of the document
        yield _settings.Text(f"{text[: mark.start()]}socket: {socket}\n{text[mark.start() :]}")
