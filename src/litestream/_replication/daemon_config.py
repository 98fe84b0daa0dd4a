"""The config that a daemon of ours reads: the user's own, with the control socket switched on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from litestream import configuration
from litestream._check.check import require_sound
from litestream._config import databases as config_databases
from litestream._config import file as config_file
from litestream._config import runtime_directory
from litestream._config.config import Source
from litestream._config.file import DEFAULT_PATH
from litestream._config.generated import as_yaml, from_databases
from litestream._executable.arguments import target
from litestream._executable.find import find as find_executable
from litestream._executable.series import series as series_of
from litestream._executable.series import version
from litestream._supervision.job import Database, Job
from litestream.errors import ConfigurationError, ReplicationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from litestream._config.databases import Entry
    from litestream._executable.arguments import StrPath


class Prepared(NamedTuple):
    """A daemon that can be started."""

    series: str
    argv: list[str]
    entries: list[Entry]
    socket: str
    directory: str
    """A private run-time directory, to be removed with what is in it; empty when none is needed."""
    config: str
    flags: dict[str, bool]
    """What every other command has to be given to read `config` in the same way."""
    metrics: str
    """The address of the daemon's metrics page, or nothing."""
    text: str = ""
    """What our own config in `directory` says; a `Text`."""

    def job(self, **options: Any) -> Job:
        """Return what a keeper is told; ``options`` are those of ``Job`` that have defaults."""
        databases = [Database(e.path, e.meta, e.interval) for e in self.entries]
        return Job(
            self.argv,
            self.series,
            databases,
            self.socket,
            self.directory,
            config=self.text,
            **options,
        )

    def chosen(self, database: StrPath | None) -> list[Entry]:
        """Return the entries of a database, whose path may be a symbolic link, or all of them."""
        if database is None:
            return self.entries
        path = target(database)
        return [e for e in self.entries if e.path in (path, os.path.realpath(path))]

    def source(self, entry: Entry) -> Source:
        """Say how to ask about one of its databases."""
        return Source(
            database=entry.path,
            meta=entry.meta,
            replicas=entry.replicas,
            config=self.config,
            series=self.series,
            flags=self.flags,
            socket=self.socket,
            metrics=self.metrics,
        )


def resolved(
    databases: Mapping[Any, str | Sequence[str]] | None,
) -> Mapping[Any, str | Sequence[str]] | None:
    """Return ``path → replica`` with the files that the paths lead to now, and ever after.

    Where a symbolic link leads later must not change what is replicated.

    Raises:
        ConfigurationError: Two paths lead to one file.

    """
    if not isinstance(databases, Mapping):  # refused where the config is made of it
        return databases
    found: dict[str, str | Sequence[str]] = {}
    for path, replica in databases.items():
        file = _file(target(path))
        if file in found:
            raise ConfigurationError(f"Two paths of databases= lead to {file!r}. Keep one")
        found[file] = replica
    return found


def _file(path: str) -> str:
    """Return the file that a symbolic link leads to: SQLite keeps the WAL beside that one."""
    return os.path.realpath(path) if os.path.islink(path) else path


def prepare(
    config: str | os.PathLike[str] | None,
    databases: Mapping[Any, str | Sequence[str]] | None,
    interval: float,
    *,
    replicates: bool = True,
) -> Prepared:
    """Read the config, or write one for `databases`, and say how to start a daemon on it.

    The user's config is passed on as it is written, environment references included; only the
    control socket is added, where it does not speak of it. A config of ours is never expanded: a
    path with a `$` in it would be replicated nowhere.

    Raises:
        ConfigurationError: Both are given, or the config is not one that replicates something.
        ReplicationError: There is no room for the config that is written.

    """
    executable = find_executable()
    series = series_of(executable)
    if databases is not None:
        if config is not None:
            raise ConfigurationError("Give config= or databases=, not both")
        content = from_databases(databases, interval)
        found = config_databases.entries(content, series)
        text, source = as_yaml(content), ""
    else:
        source = configuration.find_config(config)
        require_sound(source, version(executable))
        text = config_file.text(source)
        content = config_file.parse(config_file.expand(text), source)
        found = config_databases.entries(content, series)
    if content.get("exec") and replicates:
        raise ConfigurationError(
            f"The config {source!r} has 'exec:', which would run again whenever it ends. Take it "
            "out, and run the command by 'litestream run -- COMMAND'"
        )
    flags = {} if source else {"no_expand_env": True}
    directory, socket = "", ""
    own = content.get("socket")
    if series == "0.5" and isinstance(own, dict):
        socket = str(own.get("path") or DEFAULT_PATH) if own.get("enabled") else ""
    elif series == "0.5" or not source:
        try:
            directory = runtime_directory.make()
            if series == "0.5":
                socket = os.path.join(directory, "litestream.sock")
                text = _with_socket(text, content, socket, source)
            source = os.path.join(directory, "litestream.yml")
            runtime_directory.write(directory, text)
        except BaseException as error:
            runtime_directory.remove(directory)
            if isinstance(error, OSError):
                raise ReplicationError(
                    "The config for Litestream cannot be written to a temporary directory "
                    f"{directory!r}: {error.strerror}. Make room there, or set TMPDIR"
                ) from error
            raise
    argv = [executable, "replicate", "-config", source]
    if flags:
        argv.append("-no-expand-env")
    metrics = content.get("addr") or ""
    text = text if directory else ""
    return Prepared(series, argv, found, socket, directory, source, flags, metrics, text)


@contextmanager
def readable(
    config: str | os.PathLike[str] | None, databases: Mapping[Any, str | Sequence[str]] | None
) -> Iterator[Prepared]:
    """Give a config that commands can read, for as long as the block runs."""
    prepared = prepare(config, resolved(databases), 1.0, replicates=False)
    try:
        yield prepared
    finally:
        runtime_directory.remove(prepared.directory)


def _with_socket(text: str, content: Mapping[str, Any], socket: str, origin: str) -> str:
    """Add the control socket to a config's text, and nothing else; one of ours has no origin."""
    settings = {"enabled": True, "path": socket}
    wanted = configuration.Content({**content, "socket": settings})
    if not origin:
        return as_yaml(wanted)
    for extended in _extended(text, json.dumps(settings, ensure_ascii=False)):
        with suppress(ConfigurationError):
            if config_file.parse(config_file.expand(extended), origin) == wanted:
                return extended
    raise ConfigurationError(
        f"The config {origin!r} leaves no place to switch the control socket on: write 'socket:' "
        "into it, as in socket: {enabled: true, path: /run/litestream.sock}"
    )


def _extended(text: str, socket: str) -> Iterator[str]:
    """Yield what may be the text with the control socket: one of them is, in most cases."""
    yield configuration.Text(f"{text}\n\nsocket: {socket}\n")
    at = len(text)
    while (at := text.rfind("}", 0, at)) >= 0:  # a mapping in braces, a comment behind it
        for comma in (", ", ""):
            yield configuration.Text(f'{text[:at]}{comma}"socket": {socket}{text[at:]}')
    # An end-of-document mark: lay it out anew, references untouched.
    with suppress(ConfigurationError):
        yield as_yaml({**config_file.parse(text, ""), "socket": json.loads(socket)})
