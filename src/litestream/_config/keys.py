"""Every key of Litestream's config in both series: its place, its values, its effect.

Source: the struct tags of upstream's releases. v0.3.13: ``cmd/litestream/main.go`` (``Config``,
``LoggingConfig``, ``DBConfig``, ``ReplicaConfig``). v0.5.17: the same file (``Config``,
``SnapshotConfig``, ``RetentionConfig``, ``ValidationConfig``, ``CompactionLevelConfig``,
``DBConfig``, ``ReplicaSettings``, ``ReplicaConfig``), ``internal/log.go`` (``LoggingConfig``) and
``server.go`` (``SocketConfig``). A test compares the tables with what the executables decode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSIONS = {"0.3": "0.3.13", "0.5": "0.5.17"}
"""The release that the tables of each series describe."""

PLACES = {
    "": "the top level",
    "dbs[]": "a database",
    "replica": "a replica",
    "levels[]": "an entry of 'levels:'",
    "snapshot": "'snapshot:'",
    "retention": "'retention:'",
    "validation": "'validation:'",
    "socket": "'socket:'",
    "logging": "'logging:'",
    "age": "'age:'",
}
TYPES = {
    "0.3": ("abs", "file", "gcs", "s3", "sftp"),
    "0.5": ("abs", "file", "gs", "nats", "oss", "s3", "sftp", "webdav"),
}

_BOTH, _OLD, _NEW = ("0.3", "0.5"), ("0.3",), ("0.5",)


class Key(NamedTuple):
    """A key of the config.

    ``kind`` is ``text``, ``secret``, ``bool``, ``int``, ``mode``, ``duration``, ``size``,
    ``texts`` (a list), ``mapping``, ``mappings`` (a list) or ``any`` (a list's entry decides).
    ``holds`` is the place of the keys in a mapping.
    """

    place: str
    name: str
    kind: str
    series: tuple[str, ...]
    about: str
    holds: str = ""


# 0.5 takes all of these at the top level, too; 0.3 only those in _TOP_IN_03.
_REPLICA = (
    ("sync-interval", "duration", _BOTH,
     "How often changes are sent to the replica (default: 1s)."),
    ("validation-interval", "duration", _BOTH, "0.3: restore and compare this often; 0.5: unused."),
    ("max-sync-ltx-files", "int", _NEW, "LTX files that one sync sends at most (default: 256)."),
    ("auto-recover", "bool", _NEW, "Start anew after errors in local LTX files (default: false)."),
    ("access-key-id", "secret", _BOTH, "S3, OSS: the id of the access key."),
    ("secret-access-key", "secret", _BOTH, "S3, OSS: the secret access key."),
    ("region", "text", _BOTH, "S3, OSS: the bucket's region; S3 asks when it is not given."),
    ("bucket", "text", _BOTH, "S3, GS, OSS, NATS: the bucket; ABS: the container."),
    ("endpoint", "text", _BOTH, "S3, ABS, OSS: the URL of a service that is not the default one."),
    ("force-path-style", "bool", _BOTH, "S3: the bucket in the path of the URL, not in its host."),
    ("sign-payload", "bool", _NEW, "S3: sign what is sent (default: true)."),
    ("require-content-md5", "bool", _NEW, "S3: send MD5 sums with deletions (default: true)."),
    ("sign-accept-encoding", "bool", _NEW, "S3: sign the Accept-Encoding header."),
    ("skip-verify", "bool", _BOTH, "S3: do not verify TLS certificates (default: false)."),
    ("storage-class", "text", _NEW, "S3: the storage class of what is written."),
    ("part-size", "size", _NEW, "S3, OSS: the size of an upload's parts, such as 5MiB."),
    ("concurrency", "int", _NEW, "S3, OSS: parts that are uploaded at once."),
    ("sse-customer-algorithm", "text", _NEW, "S3, encryption with your key: AES256."),
    ("sse-customer-key", "secret", _NEW, "S3, encryption with your key: the key in base64."),
    ("sse-customer-key-path", "text", _NEW, "S3, encryption with your key: a file with the key."),
    ("sse-kms-key-id", "text", _NEW, "S3, encryption by KMS: the key's id."),
    ("account-name", "text", _BOTH, "ABS: the storage account."),
    ("account-key", "secret", _BOTH, "ABS: the account's key."),
    ("sas-token", "secret", _NEW, "ABS: a shared access signature, in place of the key."),
    ("host", "text", _BOTH, "SFTP: the host and port."),
    ("user", "text", _BOTH, "SFTP: the user."),
    ("password", "secret", _BOTH, "SFTP, NATS: the password."),
    ("key-path", "text", _BOTH, "SFTP: the file of the private key."),
    ("concurrent-writes", "bool", _NEW, "SFTP: write pieces of a file at once (default: true)."),
    ("host-key", "text", _NEW, "SFTP: the server's public key; without it, any server is trusted."),
    ("webdav-url", "text", _NEW, "WebDAV: the server's URL."),
    ("webdav-username", "text", _NEW, "WebDAV: the user."),
    ("webdav-password", "secret", _NEW, "WebDAV: the password."),
    ("jwt", "secret", _NEW, "NATS: a JWT; with 'seed:'."),
    ("seed", "secret", _NEW, "NATS: the seed of the JWT's key."),
    ("creds", "text", _NEW, "NATS: the file of the credentials."),
    ("nkey", "secret", _NEW, "NATS: an NKey."),
    ("username", "text", _NEW, "NATS: the user."),
    ("token", "secret", _NEW, "NATS: a token."),
    ("tls", "bool", _NEW, "NATS: use TLS."),
    ("root-cas", "texts", _NEW, "NATS: files of the certificate authorities."),
    ("client-cert", "text", _NEW, "NATS: the file of the client's certificate."),
    ("client-key", "text", _NEW, "NATS: the file of the certificate's key."),
    ("max-reconnects", "int", _NEW, "NATS: attempts to reconnect; -1 for no limit."),
    ("reconnect-wait", "duration", _NEW, "NATS: the pause between attempts to reconnect."),
    ("timeout", "duration", _NEW, "NATS: the limit of a connection attempt."),
    ("age", "mapping", _BOTH, "0.3: encrypt with age; 0.5 refuses it.", "age"),
)  # fmt: skip
_TOP_IN_03 = ("access-key-id", "secret-access-key")

_REST = (
    ("", "addr", "text", _BOTH,
     "Where the metrics (and a profiler) are served (default: nowhere)."),
    ("", "mcp-addr", "text", _NEW, "Where the MCP server listens (default: nowhere)."),
    ("", "dbs", "mappings", _BOTH, "The databases.", "dbs[]"),
    ("", "exec", "text", _BOTH, "A command to run beside the daemon; better: litestream run."),
    ("", "logging", "mapping", _BOTH, "What is logged, how and where to.", "logging"),
    ("", "socket", "mapping", _NEW, "The control socket.", "socket"),
    ("", "levels", "mappings", _NEW,
     "The levels of compaction (default: 30s, 5m, 1h).", "levels[]"),
    ("", "snapshot", "mapping", _NEW, "How often a snapshot is made, and kept.", "snapshot"),
    ("", "validation", "mapping", _NEW, "How often the LTX files are validated.", "validation"),
    ("", "retention", "mapping", _NEW, "Whether Litestream deletes old files itself.", "retention"),
    ("", "l0-retention", "duration", _NEW, "How long single LTX files are kept (default: 5m)."),
    ("", "l0-retention-check-interval", "duration", _NEW,
     "How often older ones are deleted (default: 15s)."),
    ("", "verify-compaction", "bool", _NEW,
     "Check what each compaction has made (default: false)."),
    ("", "heartbeat-url", "text", _NEW, "A URL that is requested after syncs that worked."),
    ("", "heartbeat-interval", "duration", _NEW,
     "How often it is requested, a minute at least (default: 5m)."),
    ("", "shutdown-sync-timeout", "duration", _NEW,
     "How long the final sync is tried (default: 30s)."),
    ("", "shutdown-sync-interval", "duration", _NEW,
     "The pause between attempts of the final sync (default: 500ms)."),
    ("dbs[]", "path", "text", _BOTH, "The database's file."),
    ("dbs[]", "dir", "text", _NEW, "A directory of databases, in place of 'path:'."),
    ("dbs[]", "pattern", "text", _NEW, "With 'dir:': which files, such as '*.db'."),
    ("dbs[]", "recursive", "bool", _NEW,
     "With 'dir:': in directories below, too (default: false)."),
    ("dbs[]", "watch", "bool", _NEW,
     "With 'dir:': take up databases that appear (default: false)."),
    ("dbs[]", "meta-path", "text", _BOTH,
     "Litestream's local state (default: .NAME-litestream beside it)."),
    ("dbs[]", "meta-dir", "text", _NEW, "With 'dir:': the directory of the local states."),
    ("dbs[]", "snapshot", "mapping", _NEW,
     "Snapshots of this database; default: those of the top level.", "snapshot"),
    ("dbs[]", "monitor-interval", "duration", _BOTH,
     "How often changes are looked for (default: 1s)."),
    ("dbs[]", "checkpoint-interval", "duration", _BOTH,
     "How often the WAL is checkpointed (default: 1m)."),
    ("dbs[]", "busy-timeout", "duration", _NEW,
     "How long Litestream waits for a lock (default: 1s)."),
    ("dbs[]", "min-checkpoint-page-count", "int", _BOTH,
     "Pages after which the WAL is checkpointed (default: 1000)."),
    ("dbs[]", "max-checkpoint-page-count", "int", _OLD,
     "Pages after which writers wait (default: 10000)."),
    ("dbs[]", "truncate-page-n", "int", _NEW,
     "Pages after which the WAL is truncated (default: 121359)."),
    ("dbs[]", "max-sync-wal-bytes", "int", _NEW,
     "Bytes of WAL that one sync reads (default: 67108864)."),
    ("dbs[]", "restore-if-db-not-exists", "bool", _NEW, "Restore it first if it is missing."),
    ("dbs[]", "replica", "mapping", _NEW, "The replica; 0.3 reads 'replicas:' alone.", "replica"),
    ("dbs[]", "replicas", "mappings", _BOTH, "A list of replicas; one on 0.5.", "replica"),
    ("replica", "type", "text", _BOTH, "The type: s3, file, …; default: that of the URL, or file."),
    ("replica", "name", "text", _BOTH, "A name of the replica's own; 0.5 ignores it."),
    ("replica", "path", "text", _BOTH, "The directory, or the prefix of the objects' names."),
    ("replica", "url", "text", _BOTH, "Type, place and path in one, such as s3://bucket/app."),
    ("replica", "retention", "duration", _OLD,
     "How long snapshots and WAL are kept (default: 24h)."),
    ("replica", "retention-check-interval", "duration", _OLD,
     "How often old ones are deleted (default: 1h)."),
    ("replica", "snapshot-interval", "duration", _OLD,
     "How often a snapshot is made (default: as 'retention')."),
    ("levels[]", "interval", "duration", _NEW, "How often files are merged into this level."),
    ("snapshot", "interval", "duration", _NEW, "How often a snapshot is made (default: 24h)."),
    ("snapshot", "retention", "duration", _NEW,
     "How long snapshots and changes are kept (default: 24h)."),
    ("retention", "enabled", "bool", _NEW,
     "false: the bucket's rules delete old files (default: true)."),
    ("validation", "interval", "duration", _NEW,
     "How often the LTX files are validated (default: never)."),
    ("socket", "enabled", "bool", _NEW, "Open the socket (default: false)."),
    ("socket", "path", "text", _NEW, "The socket's file (default: /var/run/litestream.sock)."),
    ("socket", "permissions", "mode", _NEW, "The mode of the socket's file (default: 0600)."),
    ("logging", "level", "text", _BOTH,
     "debug, info, warn or error; on 0.5 also trace (default: info)."),
    ("logging", "type", "text", _BOTH, "text or json; on 0.5 also pretty (default: text)."),
    ("logging", "stderr", "bool", _BOTH,
     "Log to standard error, not to standard output (default: false)."),
    ("logging", "source", "bool", _NEW, "Log the line of Litestream's source (default: false)."),
    ("age", "identities", "texts", _BOTH, "Private keys, to restore with."),
    ("age", "recipients", "texts", _BOTH, "Public keys, to write with."),
)  # fmt: skip


def _keys() -> tuple[Key, ...]:
    found = [Key(*row) for row in _REST]
    for name, kind, series, about, *holds in _REPLICA:
        found.append(Key("replica", name, kind, series, about, *holds))
        top = _BOTH if name in _TOP_IN_03 else _NEW
        found.append(Key("", name, kind, top, f"The default of replicas. {about}", *holds))
    return tuple(found)


KEYS = _keys()
BY_PLACE: dict[str, dict[str, Key]] = {place: {} for place in PLACES}
for _key in KEYS:
    BY_PLACE[_key.place][_key.name] = _key
SECRET_KEYS = frozenset(key.name for key in KEYS if key.kind == "secret")


def secrets_in(content: object, *, is_secret: bool = False) -> Iterator[str]:
    """Yield the values of a config's secret keys; one below 4 characters is hidden in no text."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield from secrets_in(value, is_secret=name in SECRET_KEYS)
    elif isinstance(content, list):
        for value in content:
            yield from secrets_in(value, is_secret=is_secret)
    elif is_secret and content not in (None, True, False) and len(str(content)) > 3:
        yield str(content)
