"""The place of a replica, however it is written: two databases in one place destroy each other.

Source: `NewReplicaFromConfig` of 0.3.13 and 0.5.17, which take a place from a URL or from single
keys. 0.5 takes keys that a replica lacks from the top level of the config.
"""

from __future__ import annotations

import os
import posixpath
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from litestream import _settings
from litestream._config import paths
from litestream._config.paths import is_url
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_INHERITED = ("bucket", "endpoint", "account-name", "host", "user", "webdav-url")
_SAME_TYPE = {"webdavs": "webdav", "gcs": "gs"}
_AWS = re.compile(r"s3(?:[.-][\w.-]+)?\.amazonaws\.com(?:\.cn)?")
_S3_HOST = re.compile(  # a bucket before the name of a known service
    r"(?:(?P<bucket>.+)\.)?(?P<endpoint>"
    r"s3\.[^.]+\.backblazeb2\.com|s3\.filebase\.com|[^.]+\.digitaloceanspaces\.com|"
    r"s3\.[^.]+\.scw\.cloud|[^.]+\.linodeobjects\.com|localhost(?::\d+)?|"
    rf"{_AWS.pattern})"
)
_OSS_HOST = re.compile(r"(?P<bucket>.+?)\.oss-[\w-]+\.aliyuncs\.com")
_PLAIN_URL = re.compile(r"[\w.~$&+,/:;=@-]+", re.ASCII)
"""A URL in which Litestream escapes nothing, so the URL names the directory literally."""
OWN = ("generations", "ltx")
"""What Litestream, in either series, owns in a replica's directory."""

Place = tuple[str, ...]


def kind(replica: Mapping[str, Any]) -> str:
    """Return the type of a replica as in the executable: the URL's scheme comes first."""
    url = str(replica.get("url") or "")
    scheme = url.partition("://")[0].lower() if is_url(url) else ""
    return scheme or str(replica.get("type") or "file")


def name(replica: Mapping[str, Any]) -> str:
    """Return the name of a replica in 0.3."""
    return str(replica.get("name") or kind(replica))


def directory(replica: Mapping[str, Any]) -> str | None:
    """Return a replica's directory, if it is one; None if a URL's escapes leave it unclear.

    Source: both series take a URL's host for the beginning of the path.
    """
    path, url = str(replica.get("path") or ""), str(replica.get("url") or "")
    if kind(replica) != "file" or is_url(path):
        return None
    if url:
        path = url.partition("://")[2].lstrip("/")
        return posixpath.normpath(f"/{path}") if _PLAIN_URL.fullmatch(url) else None
    return paths.of_config(path) if path else None


def absolute(
    written: Mapping[str, Any], given: Mapping[str, Any], base: str, dollar: str = "$"
) -> dict[str, Any]:
    """Return an entry as it is written, but with relative paths made absolute from `base`.

    ``given`` is the entry after expansion, ``dollar`` stands for a ``$`` in an absolute path.
    """
    found = dict(written)
    for key in ("path", "dir", "meta-path", "meta-dir"):
        path = str(given.get(key) or "")
        if paths.absolute(path, base) != path:
            found[key] = paths.absolute(path, base).replace("$", dollar)
    for key in ("replica", "replicas"):
        one, other = found.get(key), given.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            found[key] = _absolute_replica(one, other, base, dollar)
        elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            found[key] = [
                _absolute_replica(a, b, base, dollar)
                if isinstance(a, dict) and isinstance(b, dict)
                else a
                for a, b in zip(one, other, strict=True)
            ]
    return _settings.Content(found)


def _absolute_replica(
    written: Mapping[str, Any], given: Mapping[str, Any], base: str, dollar: str
) -> Mapping[str, Any]:
    path = str(given.get("path") or "")
    if kind(given) != "file" or given.get("url") or paths.absolute(path, base) == path:
        return written
    moved = paths.absolute(path, base).replace("$", dollar)
    return _settings.Content({**written, "path": moved})


def place(replica: Mapping[str, Any], content: Mapping[str, Any], series: str) -> Place:
    """Return a value that two replicas share if and only if they are in the same place.

    Credentials do not count, except the user of an SFTP server, whose root may differ.
    """
    if series == "0.5":
        replica = {**{key: content[key] for key in _INHERITED if content.get(key)}, **replica}
    kept = kind(replica)
    kept = _SAME_TYPE.get(kept, kept)
    if kept == "file":
        folder = directory(replica)
        return (kept, os.path.realpath(folder) if folder else str(replica.get("url") or ""))
    return (kept, *_remote(kept, replica))


def _remote(kept: str, replica: Mapping[str, Any]) -> Sequence[str]:
    def said(key: str) -> str:
        return str(replica.get(key) or "")

    url = _split(said("url"))
    path = _clean(said("path") or url.path)
    if kept == "sftp":
        # A path without a leading slash is below the user's home directory.
        path = posixpath.normpath(said("path") or url.path or ".")
        return (_host(said("host") or url.host, "22"), said("user") or url.user, path)
    if kept == "webdav":
        scheme = "https" if said("url").startswith("webdavs") else "http"
        server = _split(said("webdav-url") or f"{scheme}://{url.host}")
        return (_host(server.host, "80", "443"), _clean(f"{server.path}/{path}"))
    if kept == "nats":
        return (_host(url.host, "4222"), _clean(url.path) or said("bucket"))
    if kept == "abs":
        account = said("account-name") or url.user
        endpoint = _endpoint(said("endpoint"))
        if endpoint == f"{account}.blob.core.windows.net":
            endpoint = ""
        return (endpoint, account, said("bucket") or url.host, path)
    bucket, endpoint = url.host, ""
    if kept == "s3":
        found = _S3_HOST.fullmatch(url.host)
        if found:
            bucket, endpoint = found["bucket"] or "", found["endpoint"]
        elif ":" in url.host and ".com" not in url.host and not url.host.startswith("arn:"):
            bucket, _, endpoint = url.host.partition(".")  # 0.5: bucket.host:port
        endpoint = (url.query.get("endpoint") or [endpoint])[0]
    elif kept == "oss" and (found := _OSS_HOST.fullmatch(url.host)):
        bucket = found["bucket"]
    endpoint = _endpoint(said("endpoint") or endpoint)
    if _AWS.fullmatch(endpoint) or endpoint.endswith(".aliyuncs.com"):
        endpoint = ""  # a bucket's name is unique in all regions
    return (endpoint, said("bucket") or bucket, path)


class _Split:
    """The parts of a URL; a missing part is empty."""

    def __init__(self, url: str) -> None:
        if url.lower().startswith("s3://arn:"):  # an access point: its name has colons and a slash
            arn, _, rest = url[len("s3://") :].partition(":accesspoint/")
            point, _, path = rest.partition("/")
            self.host, self.user = f"{arn}:accesspoint/{point}", ""
            self.path, _, query = path.partition("?")
        else:
            parts = urlsplit(url)
            login, _, self.host = parts.netloc.rpartition("@")
            self.user = unquote(login.partition(":")[0])
            self.path, query = unquote(parts.path), parts.query
        self.query = parse_qs(query)


def _split(url: str) -> _Split:
    try:
        return _Split(url)
    except ValueError:  # the executable refuses the URL in its own words
        return _Split("")


def _clean(path: str) -> str:
    return posixpath.normpath(f"/{path}").strip("/")


def _host(host: str, *defaults: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port in defaults else host.lower()


def _endpoint(text: str) -> str:
    return _host(text.lower().partition("://")[2] or text, "80", "443").rstrip("/")


def require_apart(
    found: Sequence[tuple[str, str, Sequence[Mapping[str, Any]]]],
    content: Mapping[str, Any],
    series: str,
) -> None:
    """Refuse databases that would overwrite each other's copies, or Litestream's own state.

    ``found`` holds the path, the local state and the replicas of each database.

    Raises:
        ConfigurationError: A database is listed twice, or two share a replica or a state.

    """
    paths: dict[str, str] = {}
    states: dict[str, str] = {}
    owners: dict[Place, str] = {}
    for path, state, replicas in found:
        real, meta = os.path.realpath(path), os.path.realpath(state)
        if real in paths:
            also = f", as {path!r} and {paths[real]!r}" if paths[real] != path else ""
            raise ConfigurationError(
                f"The database {real!r} is in the config twice{also}: two would copy it at once, "
                "and destroy the replica. Keep one entry"
            )
        if meta in states:
            raise ConfigurationError(
                f"{states[meta]!r} and {path!r} have the same 'meta-path': each would "
                "destroy the other's state. Give each a path of its own"
            )
        paths[real] = states[meta] = path
        for replica in replicas:
            where = place(replica, content, series)
            if where not in owners:
                owners[where] = path
            elif owners[where] == path:
                raise ConfigurationError(
                    f"Two replicas of {path!r} are in the same place. Keep one, or give "
                    "each a path of its own"
                )
            else:
                raise ConfigurationError(
                    f"{owners[where]!r} and {path!r} have the same replica: each would write "
                    "over the other's backups. Give each a path of its own"
                )
    folders = {where[1]: path for where, path in owners.items() if where[0] == "file"}
    _require_no_intrusion(folders, states)


def _require_no_intrusion(folders: Mapping[str, str], states: Mapping[str, str]) -> None:
    """Refuse a replica inside Litestream's own files; a replica above another does no harm.

    Source: in a replica, 0.3.13 writes and removes below ``generations``, 0.5.17 below ``ltx``.
    """
    for folder, path in folders.items():
        for above in _above(folder):
            if above in states:
                raise ConfigurationError(
                    f"The replica of {path!r}, {folder!r}, lies in the directory in which "
                    f"Litestream keeps its state for {states[above]!r}. Choose another directory"
                )
            parent, last = os.path.split(above)
            if last in OWN and parent in folders:
                raise ConfigurationError(
                    f"The replica of {path!r}, {folder!r}, lies among the backups in the replica "
                    f"of {folders[parent]!r}, {parent!r}. Choose another directory"
                )


def _above(folder: str) -> list[str]:
    found = [folder]
    while found[-1] != os.path.dirname(found[-1]):
        found.append(os.path.dirname(found[-1]))
    return found
