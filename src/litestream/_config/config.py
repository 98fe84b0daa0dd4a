"""The config, a file or a mapping: read once for a public call, and handed down."""

from __future__ import annotations

import os
import threading
import weakref
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from litestream import _settings
from litestream._config import databases as config_databases
from litestream._config import file as config_file
from litestream._config import mapping, places, runtime_directory, spelling
from litestream._config.database import Database
from litestream._config.directories import Directory, in_content
from litestream._config.paths import refuse_url, target
from litestream._database.files import meta_path
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from litestream._config.paths import StrPath

ConfigArgument: TypeAlias = (
    "str | os.PathLike[str] | Mapping[Any, str | Sequence[Any] | Mapping[str, Any]] | Config | None"
)
"""What ``config=`` takes: a path, or a database's path → its replica; a `Config` that is loaded."""

DEFAULT_SOCKET = "/var/run/litestream.sock"
"""Where 0.5 listens when its config switches the socket on and names no path."""


class Config:
    """The config of Litestream, read when it is first needed, and once only.

    ``path`` is the user's file, "" for a mapping. With ``flags`` the executable reads ``file`` as
    this object does. ``socket`` is the control socket that the config names (0.5).
    """

    def __init__(
        self,
        series: str,
        path: str = "",
        content: Mapping[str, Any] | None = None,
        *,
        literal: bool = False,
    ) -> None:
        self.series = series
        self.path = path
        self.literal = literal
        if content is not None:
            self.content = content
        self._written = ""
        self._socket: str | None = None
        self._asked: set[str] = set()
        self._spelt: set[str] = set()
        self._writing = threading.Lock()

    @classmethod
    def load(cls, given: ConfigArgument, series: str, *, expand_env: bool = True) -> Config:
        """Return the given config, or the one that is found; a mapping is never expanded.

        Raises:
            ConfigNotFoundError: There is none; the message lists the places.
            ConfigurationError: A mapping is not one of databases to replicas.

        """
        if isinstance(given, Config):
            return given
        found = _settings.chosen_config(given)
        if isinstance(found, str):
            return cls(series, found, literal=not expand_env)
        return cls(series, content=mapping.content_of(found, series), literal=True)

    def __repr__(self) -> str:
        return f"<Config {self.path or 'of a mapping'}>"

    @cached_property
    def text(self) -> str:
        """Return the text of the file, or the one of ours for a mapping."""
        return config_file.text(self.path) if self.path else mapping.as_yaml(self.content)

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """Return the content of the config.

        Raises:
            ConfigurationError: The file cannot be read, or is not a mapping in YAML.

        """
        text = self.text if self.literal else config_file.expand(self.text)
        return config_file.parse(text, self.path, expanded=text != self.text)

    @cached_property
    def directories(self) -> list[Directory]:
        """Return the ``dir:`` entries, which 0.5 has.

        Raises:
            ConfigurationError: One cannot be used.

        """
        return in_content(self.content, self._base) if self.series == "0.5" else []

    @cached_property
    def _base(self) -> str:
        """Return the directory to which relative paths in ``dir:`` entries refer, also later."""
        return os.getcwd()

    @property
    def file(self) -> str:
        """Return the path that the executable is given.

        It is a private file for a mapping, and for a config with ``dir:`` entries: the executable
        lists and restores no database of those.
        """
        with self._writing:
            if self.path and not (self._is_readable() and self.directories):
                return self.path
            if not self._written:
                spelt = self.spelt_out()
                self._spelt = {*spelt.paths} if self.directories else set()
                self._written = _written(spelt.text)
                self._remover = weakref.finalize(self, _remove, self._written, os.getpid())
            return os.path.join(self._written, "litestream.yml")

    def _is_readable(self) -> bool:
        """Tell whether we can read the file. If not, the executable says what is wrong with it."""
        try:
            return self.content is not None
        except ConfigurationError:
            return False

    def spelt_out(self, *, lost: bool = True, only: Collection[str] | None = None) -> Config:
        """Return the config with an entry for each database in place of the ``dir:`` entries.

        The directories are listed now; those that are ``lost`` were replicated once, and are not
        on disk. Or ``only`` the given databases are in them, and nothing is listed.

        Raises:
            ConfigurationError: A directory cannot be listed.

        """
        if not self.directories:
            return self

        def paths(directory: Directory) -> list[str]:
            if only is not None:
                return sorted(filter(directory.holds, only))
            also = [path for path in self._asked if lost and directory.holds(path)]
            return sorted({*directory.databases(lost=lost), *also})

        content, text = spelling.spelt(
            self.content, self.text, paths, self._base, literal=self.literal
        )
        found = Config(self.series, self.path, content, literal=self.literal)
        found.text = text
        return found

    def include(self, path: str) -> dict[str, Any] | None:
        """Return the entry of a database that a directory holds, or would hold, if one does.

        The executable finds it in ``file`` from then on.

        Raises:
            ConfigurationError: Its name is no UTF-8, and so in no config.

        """
        for directory in self.directories:
            if directory.holds(path):
                directory.require_utf8(path)
                with self._writing:
                    self._asked.add(path)
                    if self._written and path not in self._spelt:
                        spelt = self.spelt_out()
                        self._spelt = {*spelt.paths}
                        runtime_directory.rewrite(self._written, spelt.text)
                return directory.entry(path)
        return None

    @property
    def flags(self) -> dict[str, bool]:
        """Return the flags with which the executable reads the file as it is read here."""
        return {"no_expand_env": True} if self.literal else {}

    def close(self) -> None:
        """Remove the private file, if there is one."""
        if self._written:
            self._remover()
            self._written = ""

    def of_daemon(self, path: str, content: Mapping[str, Any], socket: str) -> Config:
        """Return the config as a daemon of ours has it: in another file, with a socket."""
        found = Config(self.series, path, content, literal=self.literal)
        found._socket = socket
        return found

    @property
    def socket(self) -> str:
        """Return the control socket's path: the config's ``socket.path``, or upstream's default."""
        if self._socket is not None:
            return self._socket
        settings = self.content.get("socket")
        path = settings.get("path") if isinstance(settings, dict) else None
        return path if isinstance(path, str) else DEFAULT_SOCKET

    @property
    def own_socket(self) -> str:
        """Return the control socket that the config itself switches on, or nothing."""
        settings = self.content.get("socket")
        if self.series != "0.5" or not isinstance(settings, dict) or not settings.get("enabled"):
            return ""
        return str(settings.get("path") or DEFAULT_SOCKET)

    @property
    def metrics(self) -> str:
        """Return the address of the daemon's metrics page, or nothing."""
        return self.content.get("addr") or ""

    @cached_property
    def _named(self) -> dict[str, dict[str, Any]]:
        """Return the entries with a path of their own."""
        entries = self.content.get("dbs")
        if self.directories and isinstance(entries, list):
            entries = [raw for raw in entries if not isinstance(raw, dict) or not raw.get("dir")]
        return dict(config_databases.named({"dbs": entries}, self.series))

    @property
    def paths(self) -> list[str]:
        """Return the paths of the databases."""
        return [path for path, _ in config_databases.named(self.content, self.series)]

    @property
    def unusable(self) -> list[str]:
        """Return the paths of databases in directories that cannot be replicated."""
        return [path for directory in self.directories for path in directory.unusable()]

    @property
    def databases(self) -> list[Database]:
        """Return the databases.

        Raises:
            ConfigurationError: There is no database, or one has no replica for this series, or two
                share a replica: each would write over the other's backups.

        """
        entries = config_databases.named(self.content, self.series)
        found = [self._database(path, raw) for path, raw in entries]
        if not found and not self.directories:
            raise ConfigurationError("The config names no database: add one to its 'dbs:' list")
        places.require_apart(
            [(one.path, one.meta, one.replicas) for one in found], self.content, self.series
        )
        return found

    def chosen(self, database: StrPath | None) -> list[Database]:
        """Return one of the databases, whose path may be a symbolic link, or all of them.

        Raises:
            ConfigurationError: As ``databases``, or there is no such database.

        """
        if database is None:
            return self.databases
        if self.include(target(database)):
            return [self.database(database)]
        found = self.databases
        found = [one for one in found if one.is_at(database)]
        if not found:
            raise self._unknown(target(database))
        return found

    def database(self, database: StrPath, replica: str | None = None) -> Database:
        """Return a database, with all its replicas or the one that is named (0.3).

        A symbolic link to a database of the config stands for it. A path with a ``$`` may stand in
        the file as it is.

        Raises:
            ConfigurationError: It is a replica URL, the config does not name it, or it has no such
                replica.

        """
        refuse_url(database)
        path = target(database)
        for name in (path, os.path.realpath(path)):
            raw = self._named.get(name) or self.include(name)
            if raw is not None:
                found = self._database(name, raw)
                if replica is None:
                    return found
                return found._replace(replicas=found.chosen(replica), replica=replica)
        if not self.literal and "$" in path:
            unexpanded = Config(self.series, self.path, literal=True)
            unexpanded.text = self.text
            return unexpanded.database(database, replica)
        raise self._unknown(path)

    def _database(self, path: str, raw: Mapping[str, Any]) -> Database:
        replicas = config_databases.replicas_of(path, raw, self.series)
        meta = raw.get("meta-path")
        interval = self.content.get("sync-interval")
        return Database(
            self,
            path,
            os.path.abspath(os.path.expanduser(str(meta))) if meta else meta_path(path),
            max(config_databases.seconds_of(r.get("sync-interval", interval)) for r in replicas),
            config_databases.seconds_of(raw.get("monitor-interval")),
            replicas,
            is_restored=self.series == "0.5" and bool(raw.get("restore-if-db-not-exists")),
        )

    @property
    def described(self) -> str:
        """Return what to call it in a sentence."""
        if not self.path:
            return "the mapping that is the config"
        called = _settings.called(self.path)
        return f"the config {called!r}" if called == self.path else f"the setting {called}"

    def _unknown(self, path: str) -> ConfigurationError:
        entries = [one for one in self.content.get("dbs") or [] if isinstance(one, dict)]
        names = [str(one["path"]) for one in entries if one.get("path")]
        names += [directory.shown for directory in self.directories]
        known = ", ".join(map(repr, names)) or "none"
        return ConfigurationError(
            f"{path!r} is not in {self.described}. The databases there: {known}"
        )


def _written(text: str) -> str:
    """Write a config of ours into a private directory, and return the directory."""
    directory = runtime_directory.make()
    try:
        runtime_directory.write(directory, text)
    except BaseException as error:
        runtime_directory.remove(directory)
        if isinstance(error, OSError):
            raise ConfigurationError(
                "The config for Litestream cannot be written to a temporary directory "
                f"{directory!r}: {error.strerror}. Make room there, or set TMPDIR"
            ) from error
        raise
    return directory


def _remove(directory: str, process: int) -> None:
    if os.getpid() == process:  # a forked child has a copy of the object
        runtime_directory.remove(directory)
