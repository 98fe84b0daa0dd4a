"""A ``dir:`` entry of 0.5, and the entries of its databases.

Source: 0.5.17, `NewDBsFromDirectoryConfig`: for a directory D and a replica R, D/x.db is copied to
R/x.db, and has a local state of its own.
"""

from __future__ import annotations

import os
import posixpath
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from litestream import _settings
from litestream._config import paths, pattern, places
from litestream._database.files import SIDE_FILES
from litestream._database.headers import databases_among
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Mapping

_OWN_KEYS = ("dir", "pattern", "recursive", "watch", "meta-dir")
_SUFFIX = "-litestream"
_STAGING = ".litestream-restore-"
_warned: set[str] = set()
_UNESCAPED = "$&+,/:;=@-_.~"
"""What Go does not escape in a URL's path, beside letters and digits."""


class Directory(NamedTuple):
    """A ``dir:`` entry."""

    path: str
    pattern: str
    recursive: bool
    watch: bool
    raw: Mapping[str, Any]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Directory:
        """Read an entry.

        Raises:
            ConfigurationError: The entry contradicts itself, or its pattern is not valid.

        """
        given = str(raw["dir"])
        if raw.get("path"):
            raise ConfigurationError(f"The entry 'dir: {given}' has 'path:', too: keep one of them")
        if not raw.get("pattern"):
            raise ConfigurationError(
                f"The entry 'dir: {given}' has no 'pattern:'. Add one, as in pattern: '*.db'"
            )
        if raw.get("meta-path") and raw.get("meta-dir"):
            raise ConfigurationError(
                f"The entry 'dir: {given}' has 'meta-path:' and 'meta-dir:': keep one of them"
            )
        pattern.compiled(str(raw["pattern"]))
        return cls(
            paths.of_config(given),
            str(raw["pattern"]),
            raw.get("recursive") is True,
            raw.get("watch") is True,
            raw,
        )

    @property
    def shown(self) -> str:
        """Return the name of the entry in messages."""
        return os.path.join(self.path, *(["**"] if self.recursive else []), self.pattern)

    @property
    def lock(self) -> str:
        """Return the path to lock (see `Lock`) before replicating what appears in the directory."""
        said = zlib.crc32(f"{self.pattern}\n{self.recursive}".encode(errors="surrogateescape"))
        return os.path.join(os.path.realpath(self.path), f"dir-{said:08x}")

    def databases(self, *, lost: bool) -> list[str]:
        """Return the paths of the databases, with ``lost`` also of the missing ones.

        With ``lost``, a database that cannot be replicated is left out, with a warning: the others
        are restored and proved. Without it, there is an error: no daemon starts as if that database
        were not there.

        Raises:
            ConfigurationError: As ``on_disk``, or ``listed``, but not if the directory itself is
                lost.

        """
        if not lost:
            return self.on_disk()
        there = self.listed() if os.path.isdir(self.path) else []
        return sorted(path for path in {*there, *self.lost()} if not self._warned_of(path))

    def unusable(self) -> list[str]:
        """Return the paths of the databases that are there, and cannot be replicated."""
        there = self.listed() if os.path.isdir(self.path) else []
        return [path for path in there if self._trouble(path)]

    def on_disk(self) -> list[str]:
        """Return the paths of the databases that are there now.

        Raises:
            ConfigurationError: The directory, or one below it, cannot be listed; or a name is not
                UTF-8, so that no config can hold it.

        """
        found = self.listed()
        for one in found:
            self.require_utf8(one)
        return found

    def listed(self) -> list[str]:
        """Return all databases on disk, even if no config can name them.

        Raises:
            ConfigurationError: The directory, or one below it, cannot be listed.

        """
        found, name = [], self._expression
        try:
            for folder, names in _walked(self.path, recursive=self.recursive):
                found += [os.path.join(folder, n) for n in names if name.fullmatch(n)]
        except OSError as error:
            raise ConfigurationError(
                f"The directory {error.filename!r} of the entry 'dir: {self.path}' cannot be "
                f"listed: {error.strerror}. Create it, or let this user read it"
            ) from error
        return sorted(databases_among(one for one in found if not one.endswith(SIDE_FILES)))

    def require_utf8(self, path: str) -> None:
        """Refuse a database that no config can name.

        Raises:
            ConfigurationError: The name is not UTF-8.

        """
        if path.encode(errors="ignore") != os.fsencode(path):
            raise ConfigurationError(
                f"The name of the database {path!r} is not UTF-8, so no config can name it. "
                f"Rename it, or choose another pattern for 'dir: {self.path}'"
            )

    def lost(self) -> list[str]:
        """Return the paths of databases that are not on disk, but were replicated.

        They are found by their local state, and in a replica that is a directory. The replicas on a
        server cannot be listed.
        """
        found = {*self._with_state(), *self._in_replicas()}
        return sorted(one for one in found if self.holds(one) and not os.path.exists(one))

    def holds(self, path: str) -> bool:
        """Tell whether a database at a path belongs to this entry."""
        folder, name = os.path.split(path)
        below = folder == self.path or (self.recursive and folder.startswith(f"{self.path}/"))
        return below and self._expression.fullmatch(name) is not None

    def entry(self, path: str, raw: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the entry with ``path:`` that stands for a database of the directory."""
        raw = self.raw if raw is None else raw
        below = os.path.relpath(path, self.path)
        found = {key: value for key, value in raw.items() if key not in _OWN_KEYS}
        meta = self._meta(below)
        if meta:
            found["meta-path"] = meta
        for key in ("replica", "replicas"):
            given, written = self.raw.get(key), raw.get(key)
            if isinstance(given, dict) and isinstance(written, dict):
                found[key] = _replica(given, written, below)
            elif isinstance(given, list) and isinstance(written, list):
                pairs = zip(given, written, strict=False)
                found[key] = [
                    _replica(one, other, below)
                    if isinstance(one, dict) and isinstance(other, dict)
                    else other
                    for one, other in pairs
                ]
        return _settings.Content({"path": path, **found})

    def _trouble(self, path: str) -> str:
        try:
            self.require_utf8(path)
            paths.refuse_stray(path, "0.5")
            paths.refuse_link(path)
        except ConfigurationError as error:
            return str(error)
        return ""

    def _warned_of(self, path: str) -> bool:
        trouble = self._trouble(path)
        if trouble and path not in _warned:
            import logging

            _warned.add(path)
            logging.getLogger("litestream").warning("A database is left out. %s", trouble)
        return bool(trouble)

    @property
    def _expression(self) -> re.Pattern[str]:
        return pattern.compiled(self.pattern)

    def _meta(self, below: str) -> str:
        """Return the place of a database's local state, or nothing if it is beside the database."""
        folder, name = os.path.split(below)
        if self.raw.get("meta-dir"):
            return os.path.join(paths.of_config(str(self.raw["meta-dir"])), below + _SUFFIX)
        if self.raw.get("meta-path"):
            base = paths.of_config(str(self.raw["meta-path"]))
            return os.path.join(base, folder, f".{name}{_SUFFIX}")
        return ""

    def _with_state(self) -> Iterator[str]:
        base, dot = self.path, "."
        if self.raw.get("meta-dir"):
            base, dot = paths.of_config(str(self.raw["meta-dir"])), ""
        elif self.raw.get("meta-path"):
            base = paths.of_config(str(self.raw["meta-path"]))
        for folder in marked(base, "ltx", recursive=self.recursive):
            below, name = os.path.split(os.path.relpath(folder, base))
            if name.startswith(dot) and name.endswith(_SUFFIX):
                name = name[len(dot) : -len(_SUFFIX)]
                yield os.path.normpath(os.path.join(self.path, below, name))

    def _in_replicas(self) -> Iterator[str]:
        single = self.raw.get("replica")
        replicas = [single] if single else self.raw.get("replicas") or []
        for replica in [one for one in replicas if isinstance(one, dict)]:
            base = places.directory(_replica(replica, replica, "."))
            for folder in marked(base, *places.OWN, recursive=self.recursive) if base else ():
                below = os.path.relpath(folder, base)
                if replica.get("url"):
                    below = unquote(below)
                yield os.path.join(self.path, below)


def in_content(content: Mapping[str, Any], base: str) -> list[Directory]:
    """Return the ``dir:`` entries of a config's content; relative paths in them refer to `base`."""
    entries = content.get("dbs")
    entries = entries if isinstance(entries, list) else []
    found = [raw for raw in entries if isinstance(raw, dict) and raw.get("dir")]
    return [Directory.of(places.absolute(raw, raw, base)) for raw in found]


def _walked(folder: str, *, recursive: bool) -> Iterator[tuple[str, list[str]]]:
    """Yield each directory and the names of its files; links are not followed.

    Raises:
        OSError: A directory cannot be listed.

    """
    with os.scandir(folder) as entries:
        found = list(entries)
    yield folder, [one.name for one in found if not one.is_dir(follow_symlinks=False)]
    for one in found if recursive else ():
        if one.is_dir(follow_symlinks=False) and not one.name.startswith(_STAGING):
            try:
                yield from _walked(one.path, recursive=True)
            except FileNotFoundError:  # removed since
                continue


def marked(
    base: str, *marks: str, recursive: bool, above: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Yield the directories below `base` that hold one of the names; look no deeper into these.

    Links are followed, except a link back to a directory ``above``.
    """
    above |= {os.path.realpath(base)}
    try:
        with os.scandir(base) as entries:
            found = [one.path for one in entries if one.is_dir()]
    except OSError:
        return
    for folder in found:
        if any(os.path.isdir(os.path.join(folder, mark)) for mark in marks):
            yield folder
        elif recursive and os.path.realpath(folder) not in above:
            yield from marked(folder, *marks, recursive=True, above=above)


def _replica(given: Mapping[str, Any], written: Mapping[str, Any], below: str) -> dict[str, Any]:
    """Return a replica's keys as they are written, but with the place of one database's copies.

    Source: 0.5.17 escapes a URL's path, and takes the escaped name for a directory's name.
    """
    found = dict(written)
    url = str(given.get("url") or "")
    if not url:
        path = str(given.get("path") or "")
        join = os.path.join if places.kind(given) == "file" else posixpath.join
        if path or below != ".":
            found["path"] = os.path.normpath(join(path, below))
        return _settings.Content(found)
    scheme, _, rest = url.partition("://")
    rest, query = rest.partition("?")[0], rest.partition("?")[1:]
    host, _, path = rest.partition("/")
    path = quote(posixpath.normpath(f"/{unquote(path)}/{below}").lstrip("/"), safe=_UNESCAPED)
    if scheme.lower() == "file":
        del found["url"]
        found |= {"type": "file", "path": posixpath.normpath(f"/{host}/{path}")}
    else:
        found["url"] = f"{scheme}://{host}/{path}{''.join(query)}"
    return _settings.Content(found)
