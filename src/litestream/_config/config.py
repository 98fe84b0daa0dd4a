"""The config, a file or a mapping: read once for a public call, and handed down."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from litestream import _settings
from litestream._config import file as config_file
from litestream._config import mapping, runtime_directory, spelling
from litestream._config.alone import Alone
from litestream._config.directories import Directory, in_content
from litestream._config.entries import named
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

ConfigArgument: TypeAlias = (
    "str | os.PathLike[str] | Mapping[Any, str | Sequence[Any] | Mapping[str, Any]] | Config | None"
)
"""What ``config=`` takes: a path, a mapping of databases to replicas, or a loaded `Config`."""

DEFAULT_SOCKET = "/var/run/litestream.sock"
"""Where 0.5 listens if the config switches the socket on without a path."""


def absolute(config: ConfigArgument) -> ConfigArgument:
    """Return a config whose paths no longer depend on the current directory."""
    if config is None:
        return None
    if isinstance(config, (str, os.PathLike)):
        return os.path.abspath(os.path.expanduser(os.fspath(config)))
    given = _settings.chosen_config(config)
    return given if isinstance(given, str) else mapping.resolved(given)


class Config:
    """The config of Litestream, read at its first use and only once.

    ``path`` is the user's file, "" for a mapping. With ``flags``, the executable reads ``file`` as
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
        """Return the given config, or the one in the usual places; a mapping is never expanded.

        Raises:
            ConfigNotFoundError: There is none; the message lists the places.
            ConfigurationError: The mapping does not map databases to replicas.

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
        """Return the text of the file, or the text that this library writes for a mapping."""
        return config_file.text(self.path) if self.path else config_file.as_yaml(self.content)

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
        """Return the ``dir:`` entries, which only 0.5 has.

        Raises:
            ConfigurationError: An entry cannot be used.

        """
        return in_content(self.content, self._base) if self.series == "0.5" else []

    @cached_property
    def _base(self) -> str:
        """Return the directory to which relative paths in ``dir:`` entries refer from now on."""
        return os.getcwd()

    @property
    def file(self) -> str:
        """Return the path of the config for the executable.

        A mapping and a config with ``dir:`` entries get a private file: the executable lists and
        restores no database of a ``dir:`` entry.
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
        """Tell whether the file can be read; if not, the executable says what is wrong."""
        try:
            return self.content is not None
        except ConfigurationError:
            return False

    def spelt_out(self, *, lost: bool = True, only: Collection[str] | None = None) -> Config:
        """Return the config with an entry for each database in place of the ``dir:`` entries.

        The directories are listed now. With ``lost``, databases that were replicated and are not on
        disk have entries, too. With ``only``, nothing is listed: the given databases have entries.

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
        """Return the entry of a database that belongs to a ``dir:`` entry, even if it is not there.

        From then on, the executable finds the database in ``file``.

        Raises:
            ConfigurationError: Its name is not UTF-8, so no config can hold it.

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

    @cached_property
    def _alone(self) -> Alone:
        return Alone(self.content, self.text, self.series, literal=self.literal)

    def alone(self, path: str) -> str:
        """Return a config's text with one database alone; nothing where the whole one is due."""
        with suppress(ConfigurationError):
            if self.directories:
                return self.spelt_out(only=[path]).text
            return self._alone.text(path)
        return ""

    @property
    def flags(self) -> dict[str, bool]:
        """Return the flags with which the executable reads the file as this object does."""
        return {"no_expand_env": True} if self.literal else {}

    def close(self) -> None:
        """Remove the private file, if there is one."""
        if self._written:
            self._remover()
            self._written = ""

    def of_daemon(self, path: str, content: Mapping[str, Any], socket: str) -> Config:
        """Return the config that a daemon of this library reads: in another file, with a socket."""
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
        return dict(named({"dbs": entries}, self.series))

    @property
    def paths(self) -> list[str]:
        """Return the paths of the databases."""
        return [path for path, _ in named(self.content, self.series)]

    @property
    def unusable(self) -> list[str]:
        """Return the paths of databases in directories that cannot be replicated."""
        return [path for directory in self.directories for path in directory.unusable()]

    def entry(self, path: str) -> dict[str, Any] | None:
        """Return the entry of a database, if the config or one of its directories has it."""
        return self._named.get(path) or self.include(path)

    def unexpanded(self) -> Config:
        """Return the config with its variables left as they are written."""
        found = Config(self.series, self.path, literal=True)
        found.text = self.text
        return found

    @property
    def described(self) -> str:
        """Return the name of the config in a sentence."""
        if not self.path:
            return "the mapping that is the config"
        called = _settings.called(self.path)
        return f"the config {called!r}" if called == self.path else f"the setting {called}"


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


def _after_fork() -> None:
    """Free the locks of the properties, which a thread of the parent may have held.

    Up to Python 3.11, a `cached_property` has one lock for all objects.
    """
    for one in (*vars(Config).values(), *vars(Alone).values()):
        if hasattr(one, "lock"):
            one.lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
