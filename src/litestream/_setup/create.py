"""Write a config for the databases of a project."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from litestream._config.paths import stray
from litestream._executable.series import series as series_of
from litestream._setup import find
from litestream._setup.find import Found
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9/._@+-]*", re.ASCII)
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")

_KEY, _SECRET = "LITESTREAM_ACCESS_KEY_ID", "LITESTREAM_SECRET_ACCESS_KEY"
_BUCKET, _REGION = "LITESTREAM_REPLICA_BUCKET", "LITESTREAM_REPLICA_REGION"
_ENDPOINT, _PATH = "LITESTREAM_REPLICA_ENDPOINT", "LITESTREAM_REPLICA_PATH"
_HOST, _USER = "LITESTREAM_REPLICA_HOST", "LITESTREAM_REPLICA_USER"


class Kind(NamedTuple):
    """A kind of replica: the lines of its entry, and what its variables hold."""

    about: str
    lines: tuple[str, ...]
    variables: dict[str, str]
    series: tuple[str, ...] = ("0.3", "0.5")


def _s3(about: str, region: str, endpoint: str = "", more: tuple[str, ...] = ()) -> Kind:
    """Return an S3 service; a region with a space in it describes what the user sets."""
    variables = {_BUCKET: "the bucket's name"}
    lines = ["type: s3", f"bucket: ${_BUCKET}", "path: {name}"]
    if " " in region:
        variables[_REGION] = region
        lines.append(f"region: ${_REGION}")
    else:
        lines.append(f"region: {region}")
    if " " in endpoint or "HERE" in endpoint:
        variables[_ENDPOINT] = endpoint
        lines.append(f"endpoint: ${_ENDPOINT}")
    elif endpoint:
        lines.append(f"endpoint: {endpoint}")
    variables |= {_KEY: "the id of the access key", _SECRET: "the secret access key"}
    lines += [*more, f"access-key-id: ${_KEY}", f"secret-access-key: ${_SECRET}"]
    return Kind(about, tuple(lines), variables)


_PATH_STYLE = ("force-path-style: true",)
KINDS = {
    "s3": _s3("Amazon S3", "the bucket's region, such as eu-central-1"),
    "r2": _s3("Cloudflare R2", "auto", "https://ACCOUNT-HERE.r2.cloudflarestorage.com"),
    "b2": _s3(
        "Backblaze B2",
        "the bucket's region, such as eu-central-003",
        "https://s3.REGION-HERE.backblazeb2.com",
        _PATH_STYLE,
    ),
    "minio": _s3("MinIO", "us-east-1", "http://HOST-HERE:9000", _PATH_STYLE),
    "spaces": _s3("DigitalOcean Spaces", "us-east-1", "https://REGION-HERE.digitaloceanspaces.com"),
    "tigris": _s3("Tigris", "auto", "https://fly.storage.tigris.dev", ("force-path-style: false",)),
    "hetzner": _s3(
        "Hetzner Object Storage",
        "the bucket's location, such as fsn1",
        "https://LOCATION-HERE.your-objectstorage.com",
    ),
    "sftp": Kind(
        "a server, by SFTP",
        (
            "type: sftp",
            f"host: ${_HOST}",
            f"user: ${_USER}",
            "key-path: $LITESTREAM_REPLICA_KEY_PATH",
            "host-key: $LITESTREAM_REPLICA_HOST_KEY",
            "path: {name}",
        ),
        {
            _HOST: "the server and its port, such as backup.example.com:22",
            _USER: "the user",
            "LITESTREAM_REPLICA_KEY_PATH": "the file of the private key",
            "LITESTREAM_REPLICA_HOST_KEY": "what ssh-keyscan prints, from 'ssh-' on",
        },
    ),
    "abs": Kind(
        "Azure Blob Storage",
        (
            "type: abs",
            "account-name: $LITESTREAM_REPLICA_ACCOUNT",
            f"bucket: ${_BUCKET}",
            "path: {name}",
            "account-key: $LITESTREAM_AZURE_ACCOUNT_KEY",
        ),
        {
            "LITESTREAM_REPLICA_ACCOUNT": "the storage account",
            _BUCKET: "the container's name",
            "LITESTREAM_AZURE_ACCOUNT_KEY": "the account's key",
        },
    ),
    "gs": Kind(
        "Google Cloud Storage",
        ("type: gs", f"bucket: ${_BUCKET}", "path: {name}"),
        {
            _BUCKET: "the bucket's name",
            "GOOGLE_APPLICATION_CREDENTIALS": "the file of the service account's key",
        },
    ),
    "webdav": Kind(
        "a server, by WebDAV",
        (
            "type: webdav",
            f"webdav-url: ${_ENDPOINT}",
            f"webdav-username: ${_USER}",
            "webdav-password: $LITESTREAM_REPLICA_PASSWORD",
            "path: /{name}",
        ),
        {
            _ENDPOINT: "the server's URL",
            _USER: "the user",
            "LITESTREAM_REPLICA_PASSWORD": "the password",
        },
        ("0.5",),
    ),
    "nats": Kind(
        "a NATS server's object store; one bucket for each database",
        (
            "type: nats",
            f"url: nats://${_HOST}/${{{_BUCKET}}}-{{name}}",
            "creds: $LITESTREAM_REPLICA_CREDS",
        ),
        {
            _HOST: "the server and its port, such as nats.example.com:4222",
            _BUCKET: "what the buckets' names begin with",
            "LITESTREAM_REPLICA_CREDS": "the file of the credentials",
        },
        ("0.5",),
    ),
    "file": Kind(
        "a directory, best on another disk",
        ("type: file", f"path: ${_PATH}/{{name}}"),
        {_PATH: "the directory, such as /mnt/backups"},
    ),
}


class Plan(NamedTuple):
    """The databases that a config is written for, by their prefix, and those that are left out."""

    root: str
    chosen: dict[str, Found]
    left_out: list[Found]


def plan(databases: Iterable[str | os.PathLike[str]], root: str, series: str) -> Plan:
    """Choose the databases: those that are named, else those of the project in ``root``."""
    root = os.path.abspath(root)
    named = [Found(os.path.abspath(os.path.expanduser(os.fsdecode(d))), "named") for d in databases]
    found = named or find.find(root)
    chosen: list[Found] = []
    left_out: list[Found] = []
    for each in found:
        each = each._replace(path=os.path.normpath(each.path))
        why = each.reason or _unfit(each.path, series)
        (left_out if why else chosen).append(each._replace(reason=why))
    return Plan(root, _named(chosen, root), left_out)


def _unfit(path: str, series: str) -> str:
    """Return why Litestream cannot replicate a path; empty if it can."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its path is not UTF-8, so no config can name it"
    if found := stray(path, series):
        return f"Litestream takes {' and '.join(found)} in its path for part of a URI: rename it"
    if re.search("[\n\t]", path):
        return "its path holds a line break or a tab, which Litestream's tables do not show"
    folder = os.path.dirname(path)
    if os.path.isdir(folder) and not os.access(folder, os.W_OK):
        return "its directory cannot be written to, and Litestream keeps its state there"
    return ""


def _named(chosen: list[Found], root: str) -> dict[str, Found]:
    """Give each database a prefix of its own, which stays when others are added."""
    names = [_name(each.path, root) for each in chosen]
    found = {}
    for name, each in zip(names, chosen, strict=True):
        if names.count(name) > 1:
            below = os.path.relpath(each.path, root)
            name += "-" + hashlib.sha256(os.fsencode(below)).hexdigest()[:6]
        found[name] = each
    return found


def _name(path: str, root: str) -> str:
    below = os.path.relpath(path, root)
    if below.startswith(".."):
        below = os.path.basename(path)
    stem = re.sub(r"\.(db3?|sqlite3?|sl3|s3db|sqlitedb)$", "", below, flags=re.IGNORECASE)
    name = re.sub(r"[^A-Za-z0-9._]+", "-", stem).strip("-.")
    return "database" if name.lower() in ("", "null") else name


def text(plan: Plan, to: str, series: str, *, relative: bool = False) -> str:
    """Return the config of a plan.

    Raises:
        ConfigurationError: There is no database, or this series has no such replica.

    """
    if not plan.chosen:
        why = "".join(f"; {each.path!r}: {each.reason}" for each in plan.left_out[:5])
        raise ConfigurationError(
            f"No SQLite database was found in {plan.root!r}{why}. Name the database: litestream "
            "init PATH"
        )
    kind = KINDS.get(to)
    if kind is None or series not in kind.series:
        have = ", ".join(name for name, each in KINDS.items() if series in each.series)
        raise ConfigurationError(
            f"Litestream {series} has no kind of replica {to!r}. Choose one of: {have}"
        )
    width = max(map(len, kind.variables))
    lines = [
        "# Litestream replicates these databases. It reads these variables from its environment:",
        *(f"#   {name:<{width}}  {about}" for name, about in kind.variables.items()),
        *_configured(kind),
        "# Check this file with: litestream check",
        "dbs:",
    ]
    for name, each in plan.chosen.items():
        path = os.path.relpath(each.path) if relative else each.path
        lines += [f"  - path: {_scalar(path)}", "    replicas:"]
        for mark, line in zip(("-", *" " * 20), _lines(kind, series), strict=False):
            lines.append(f"      {mark} {line.replace('{name}', name)}")
    return "\n".join(lines) + "\n"


def _configured(kind: Kind) -> list[str]:
    from litestream._settings import VARIABLES

    settings = [name for name, variable in VARIABLES.items() if variable in kind.variables]
    if not settings:
        return []
    given = ", ".join(f"{name}=…" for name in settings)
    return ["# Python can set them for Litestream alone:", f"#   litestream.configure({given})"]


def _lines(kind: Kind, series: str) -> list[str]:
    if series == "0.5":
        return list(kind.lines)
    lines = [line.replace("type: gs", "type: gcs") for line in kind.lines]
    return [line for line in lines if not line.startswith("host-key:")]


def _scalar(path: str) -> str:
    r"""Write a path as YAML, and a ``$`` as ``\x24``, so that Litestream does not replace it."""
    if _PLAIN.fullmatch(path):
        return path
    quoted = json.dumps(path, ensure_ascii=False).replace("$", r"\x24")
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def config_text(
    databases: Iterable[str | os.PathLike[str]] = (),
    *,
    to: str = "s3",
    directory: str | os.PathLike[str] = ".",
    relative: bool = False,
    series: str | None = None,
) -> str:
    """Return the text of a config for databases; nothing is written.

    The databases are the given ones, or those of the project in ``directory``: Django's
    ``DATABASES``, a SQLite URL in ``DATABASE_URL``, else the SQLite files below it that are not
    tests', caches' or tools'. ``to`` is a kind of replica: ``s3``, ``r2``, ``b2``, ``minio``,
    ``spaces``, ``tigris``, ``hetzner``, ``sftp``, ``abs``, ``gs``, ``webdav``, ``nats`` or
    ``file``. The text holds no secret: it refers to variables, and lists them.

    Raises:
        ConfigurationError: There is no database, or the series has no such replica.

    """
    line = series or series_of()
    return text(plan(databases, os.fspath(directory), line), to, line, relative=relative)


config_text.__module__, config_text.__name__ = "litestream.configuration", "create"
config_text.__qualname__ = "create"  # where it is public
