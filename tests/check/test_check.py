"""What `litestream check` says of a config, and that the executable sees it the same way."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import litestream
from litestream import ConfigNotFoundError, ConfigurationError, configuration
from litestream._check.check import check as check_check
from litestream._check.check import check_text, require_sound
from litestream._check.report import IDS
from litestream._config import file as config_file
from litestream._config.keys import BY_PLACE, KEYS, VERSIONS
from tests.check.test_keys import databases
from tests.support import executable

COMMAND = Path(sys.executable).parent / "litestream"
REPLICA = "replicas: [{type: s3, bucket: b, path: app}]"
DOCUMENTED = {  # upstream's documented shapes, in words of our own: what both series take
    "a URL": "dbs: [{path: /srv/a.db, replicas: [{url: 's3://bucket/a'}]}]",
    "keys at the top": "access-key-id: $KEY\nsecret-access-key: ${SECRET}\n"
    "dbs:\n  - path: /srv/a.db\n    replicas:\n      - url: s3://bucket/a\n",
    "an S3 service": "dbs: [{path: /srv/a.db, replicas: [{type: s3, bucket: b, path: a, region: "
    "auto, endpoint: 'https://s3.example.com', force-path-style: true, skip-verify: false}]}]",
    "a directory": "dbs: [{path: /srv/a.db, replicas: [{type: file, path: /backups/a}]}]",
    "a directory's URL": "dbs: [{path: /srv/a.db, replicas: [{url: 'file:///backups/a'}]}]",
    "azure": "dbs: [{path: /srv/a.db, replicas: [{type: abs, account-name: n, account-key: $KEY, "
    "bucket: c, path: a}]}]",
    "azure by URL": "dbs: [{path: /srv/a.db, replicas: [{url: 'abs://account@container/a'}]}]",
    "intervals": "dbs: [{path: /srv/a.db, meta-path: /var/lib/meta, monitor-interval: 2s, "
    "checkpoint-interval: 1m, min-checkpoint-page-count: 500, replicas: [{url: 's3://b/a', "
    "sync-interval: 10s}]}]",
    "logs": "logging: {level: warn, type: json, stderr: true}\n"
    "dbs: [{path: /srv/a.db, replicas: [{url: 's3://b/a'}]}]",
    "metrics and a command": "addr: '127.0.0.1:9090'\nexec: my app --flag\n"
    "dbs: [{path: /srv/a.db, replicas: [{url: 's3://b/a'}]}]",
    "two databases": "dbs: [{path: /srv/a.db, replicas: [{url: 's3://b/a'}]}, "
    "{path: ~/b.db, replicas: [{url: 's3://b/b'}]}]",
    "an anchor": "x-defaults: &d {type: s3, bucket: b, region: r}\n"
    "dbs: [{path: /srv/a.db, replicas: [{<<: *d, path: a}]}]",
}
DOCUMENTED_03 = {
    "two replicas": "dbs: [{path: /srv/a.db, replicas: [{url: 's3://b/a'}, {path: /backups/a}]}]",
    "retention": "dbs: [{path: /srv/a.db, max-checkpoint-page-count: 5, replicas: [{name: n, url: "
    "'s3://b/a', retention: 72h, retention-check-interval: 1h, snapshot-interval: 24h, "
    "validation-interval: 6h}]}]",
    "gcs": "dbs: [{path: /srv/a.db, replicas: [{url: 'gcs://b/a'}]}]",
    "sftp": "dbs: [{path: /srv/a.db, replicas: [{type: sftp, host: 'h:22', user: u, password: $P, "
    "key-path: /k, path: /a}]}]",
    "sftp by URL": "dbs: [{path: /srv/a.db, replicas: [{url: 'sftp://u@h:22/a'}]}]",
    "age": "dbs: [{path: /srv/a.db, replicas: [{url: 's3://b/a', age: {identities: [], "
    "recipients: []}}]}]",
}
DOCUMENTED_05 = {
    "one replica": "dbs: [{path: /srv/a.db, replica: {url: 's3://b/a'}}]",
    "defaults": "region: r\nsync-interval: 5s\nendpoint: 'https://e.example.com'\nbucket: b\n"
    "dbs: [{path: /srv/a.db, replica: {type: s3, path: a}}]",
    "gs": "dbs: [{path: /srv/a.db, replica: {type: gs, bucket: b, path: a}}]",
    "webdav": "dbs: [{path: /srv/a.db, replica: {type: webdav, webdav-url: 'https://w.example', "
    "webdav-username: u, webdav-password: $P, path: /a}}]",
    "nats": "dbs: [{path: /srv/a.db, replica: {url: 'nats://h:4222/bucket', creds: /c, tls: true, "
    "root-cas: [/ca], max-reconnects: -1, reconnect-wait: 2s, timeout: 10s}}]",
    "oss": "dbs: [{path: /srv/a.db, replica: {url: 'oss://b/a', region: r}}]",
    "sftp": "dbs: [{path: /srv/a.db, replica: {type: sftp, host: 'h:22', user: u, key-path: /k, "
    "path: /a, host-key: 'ssh-ed25519 AAAA', concurrent-writes: false}}]",
    "levels": "levels: [{interval: 1m}, {interval: 10m}]\nsnapshot: {interval: 1h, retention: "
    "168h}\nl0-retention: 10m\nl0-retention-check-interval: 30s\nverify-compaction: true\n"
    "validation: {interval: 1h}\nretention: {enabled: false}\nshutdown-sync-timeout: 1m\n"
    "shutdown-sync-interval: 1s\ndbs: [{path: /srv/a.db, replica: {url: 's3://b/a'}}]",
    "a socket": "socket: {enabled: true, path: /run/l.sock, permissions: 0600}\nheartbeat-url: "
    "'https://h.example/p'\nheartbeat-interval: 5m\nmcp-addr: '127.0.0.1:3001'\n"
    "dbs: [{path: /srv/a.db, replica: {url: 's3://b/a'}}]",
    "S3's options": "dbs: [{path: /srv/a.db, truncate-page-n: 0, busy-timeout: 5s, "
    "restore-if-db-not-exists: true, max-sync-wal-bytes: 1000000, replica: {type: s3, bucket: b, "
    "path: a, part-size: 10MB, concurrency: 10, sign-payload: true, require-content-md5: false, "
    "storage-class: STANDARD_IA, sse-kms-key-id: k, auto-recover: true, max-sync-ltx-files: 8}}]",
    "the database's URL": "dbs: [{path: 'sqlite:///srv/a.db', replica: {url: 's3://b/a'}}]",
}


def check(text, series="0.5"):
    return check_text(text, "litestream.yml", series)


def ids(text, series="0.5"):
    return [row["id"] for row in check(text, series) if row["id"] != "unset-variable"]


@pytest.mark.parametrize(
    ("release", "name"),
    [("0.3", n) for n in (DOCUMENTED | DOCUMENTED_03)]
    + [("0.5", n) for n in (DOCUMENTED | DOCUMENTED_05)],
)
def test_nothing_is_found_in_what_upstream_documents(release, name, tmp_path):
    series = release
    more = DOCUMENTED_03 if series == "0.3" else DOCUMENTED_05
    text = (DOCUMENTED | more)[name]
    assert [] == ids(text, series)
    assert "" == databases(executable(series), text, tmp_path)


def one(replica: str, database: str = "path: /srv/a.db", top: str = "") -> str:
    return f"{top}\ndbs:\n  - {database}\n    replicas:\n      - {{{replica}}}\n"


S3 = "type: s3, bucket: b, path: a"
RULES = [  # series, id, line, config, 0.5's own words
    ("0.5", "no-database", 1, "addr: '127.0.0.1:1'", ""),
    ("0.3", "no-database", 1, "dbs: []", ""),
    ("0.5", "no-database", 1, "", ""),
    ("0.5", "no-path", 1, "dbs: [{replicas: [{path: /b}]}]", "must specify"),
    ("0.5", "no-replica", 1, "dbs: [{path: /srv/a.db}]", "must specify replica for database"),
    ("0.3", "no-replica", 1, "dbs: [{path: /srv/a.db}]", ""),
    ("0.3", "no-replica", 2, "dbs:\n  - path: /srv/a.db\n    replica: {path: /b}", ""),
    (
        *("0.5", "many-replicas", 1, "dbs: [{path: /a.db, replicas: [{path: /b}, {path: /c}]}]"),
        "multiple replicas on a single database are no longer supported",
    ),
    ("0.5", "contradictory", 3, "dbs:\n  - path: /a.db\n    replica: {path: /b}\n    replicas: "
     "[{path: /c}]", "cannot specify 'replica' and 'replicas' on a database"),
    ("0.5", "contradictory", 3, one(S3, "path: /a.db\n    dir: /d\n    pattern: '*'").lstrip(),
     "cannot specify both 'path' and 'dir'"),
    ("0.5", "missing-key", 3, one(S3, "dir: /srv"), "'pattern' is required when using 'dir'"),
    ("0.5", "contradictory", 4, one(S3, "path: /a.db\n    watch: true"),
     "'watch' can only be enabled with a directory"),
    ("0.5", "contradictory", 4, one(S3, "path: /a.db\n    meta-dir: /m"),
     "'meta-dir' can only be used with a directory"),
    *[(s, "contradictory", 5, one(f"url: 's3://b/a', {key}: c"),
       f"cannot specify url & {key} for s3 replica") for key in ("path", "bucket") for s in
      ("0.3", "0.5")],
    ("0.5", "contradictory", 5, one("url: 'sftp://u@h/a', host: c, host-key: k"),
     "cannot specify url & host for sftp replica"),
    ("0.5", "contradictory", 5, one("url: 'webdav://h/a', webdav-url: 'http://c'"),
     "cannot specify url & webdav-url for webdav replica"),
    ("0.3", "contradictory", 5, one("path: 's3://b/a'"),
     "replica path cannot be a url, please use the 'url' field instead"),
    *[("0.5", "missing-key", 5, one(f"type: {kind}, path: /x{more}"), f"{name} required for "
       f"{'NATS' if kind == 'nats' else kind} replica") for kind, name, more in [
           ("s3", "bucket", ""), ("gs", "bucket", ""), ("abs", "bucket", ""),
           ("oss", "bucket", ""), ("nats", "bucket", ""), ("webdav", "webdav-url", ""),
           ("sftp", "host", ", user: u, host-key: k"), ("sftp", "user", ", host: h, host-key: k")]],
    ("0.3", "missing-key", 5, one("type: gcs, path: x"), "bucket required for gcs replica"),
    ("0.3", "missing-key", 5, one("type: file"), "file replica path required"),
    ("0.5", "missing-key", 5, one("type: nats, bucket: b, client-cert: c"),
     "client-cert and client-key must both be specified"),
    ("0.5", "unknown-type", 5, one("type: gcs, bucket: b"), "unknown replica type in config"),
    ("0.3", "unknown-type", 5, one("type: gs, bucket: b"), "unknown replica type in config"),
    ("0.3", "unknown-type", 5, one("url: 'webdav://h/a'"), "unknown replica type in config"),
    ("0.5", "no-type", 5, one("bucket: b, path: a"), ""),
    *[(s, "bad-value", 5, one("url: 's3://[b/a'"), "") for s in VERSIONS],
    ("0.5", "bad-value", 5, one(S3 + ", sync-interval: 0s"), "sync interval must be greater than"),
    *[("0.5", "bad-value", 1, one(S3, top=f"{top}").lstrip(), words) for top, words in [
        ("snapshot: {interval: 0s}", "snapshot.interval: snapshot interval must be greater than 0"),
        ("snapshot: {retention: -1h}", "snapshot.retention: snapshot retention must be greater"),
        ("l0-retention: -1s", "l0-retention: l0 retention must not be negative"),
        ("l0-retention-check-interval: 0s", "l0-retention-check-interval: l0 retention check"),
        ("shutdown-sync-timeout: -1s", "shutdown-sync-timeout: shutdown-sync-timeout must be"),
        ("shutdown-sync-interval: 0s", "shutdown-sync-interval: shutdown sync interval must be"),
        ("heartbeat-url: 'ftp://x'", "heartbeat-url: heartbeat URL must be a valid HTTP or HTTPS"),
        ("heartbeat-interval: 30s", "heartbeat-interval: heartbeat interval must be at least 1 m"),
        ("levels: [{interval: 0s}]", "interval: compaction interval must be greater than 0"),
        ("logging: {type: xml}", "")]],
    ("0.5", "bad-value", 4, one(S3, "path: /a.db\n    snapshot: {interval: 0s}"),
     "snapshot interval must be greater than 0"),
    ("0.5", "age-encryption", 5, one(S3 + ", age: {recipients: [x]}"),
     "age encryption is not currently supported"),
    ("0.5", "duplicate-database", 6, one(S3) + "  - {path: /srv/../srv/a.db, replicas: [{path: "
     "/b}]}", "duplicate path"),
    ("0.3", "duplicate-database", 6, one(S3).lstrip() + "\n  - {path: /srv/a.db, replicas: [{path: "
     "/b}]}", ""),
    ("0.5", "shared-replica", 6, one(S3) + "  - {path: /srv/b.db, replicas: [{url: 's3://b/a'}]}",
     ""),
    ("0.3", "shared-replica", 6, one("path: /c/") + "  - {path: /b.db, replicas: [{path: /c}]}",
     ""),
    *[(s, "shared-replica", 6, one("path: /c/x") + "  - {path: /b.db, replicas: [{url: "
       "'file://c/x'}]}", "") for s in ("0.3", "0.5")],
    ("0.5", "shared-meta", 6, one(S3, "path: /a.db\n    meta-path: /m").lstrip()
     + "  - {path: /b.db, meta-path: /m/, replicas: [{path: /c}]}", ""),
    ("0.5", "replica-in-tree", 5, one("path: /srv/backups"), ""),
    ("0.5", "replica-in-tree", 5, one("url: 'file://srv/backups'"), ""),
    ("0.5", "relative-path", 3, one(S3, "path: a.db"), ""),
    ("0.5", "relative-path", 5, one("path: backups"), ""),
    ("0.5", "stray-path", 3, one(S3, "path: '/srv/a#1.db'"), ""),
    ("0.3", "stray-path", 3, one(S3, "path: '/srv/a?.db'"), ""),
    ("0.3", "stray-path", 3, one(S3, "path: 'sqlite:///srv/a.db'"), ""),
    ("0.5", "dollar-in-path", 3, one(S3, "path: /srv/a$$b.db"), ""),
    ("0.5", "dollar-in-path", 3, one(S3, "path: /srv/$HOME/b.db"), ""),
    ("0.5", "secret-in-file", 5, one(S3 + ", secret-access-key: canary"), ""),
    ("0.5", "secret-in-file", 5, one("url: 'sftp://u:canary@h/a', host-key: k"), ""),
    *[("0.5", "open-address", 1, one(S3, top=f"addr: '{address}'").lstrip(), "") for address in
      (":9090", "0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.com:1")],
    ("0.5", "open-address", 1, one(S3, top="socket: {permissions: 0666}").lstrip(), ""),
    ("0.5", "no-host-key", 5, one("url: 'sftp://u@h/a'"), ""),
    ("0.5", "costly-interval", 5, one(S3 + ", sync-interval: 100ms"), ""),
    *[(s, "empty-entry", 1, "dbs: [null]", "") for s in ("0.3", "0.5")],
    ("0.5", "empty-entry", 1, "dbs: [{path: /a.db, replicas: [~]}]", ""),
    ("0.5", "wrong-type", 1, "dbs: {path: /a.db}", "cannot unmarshal"),
    ("0.5", "wrong-type", 1, "- dbs", ""),
    ("0.5", "second-document", 2, "dbs: []\n---\ndbs: []", ""),
    ("0.5", "not-yaml", 2, "dbs:\n\t- path: /a.db", ""),
    ("0.5", "not-yaml", 1, "dbs: *nowhere", ""),
]  # fmt: skip


@pytest.mark.parametrize(("release", "ident", "line", "text", "words"), RULES)
def test_each_rule(release, ident, line, text, words, tmp_path):
    series = release
    found = [row for row in check(text, series) if row["id"] == ident]
    assert found, check(text, series)
    assert line in [row["line"] for row in found], found
    assert all(row["message"] and row["hint"] and row["column"] >= 1 for row in found)
    if words and ident != "wrong-type":
        if words != "must specify":
            assert any(words[:40] in row["message"] for row in found), found
        said = databases(executable(series), text, tmp_path)
        assert words[:40] in said.replace('\\"', '"'), said
    assert "canary" not in json.dumps(check(text, series))


def test_every_id_has_a_rule():
    tested = {rule[1] for rule in RULES}
    elsewhere = {"unreadable", "unknown-key", "misplaced-key", "other-series", "duplicate-key"}
    assert set(IDS) == tested | elsewhere | {"wrong-unit", "unset-variable"}


BASE = {  # places of a config that has each kind of them; %s is where a line is put
    "": "%sdbs: [{path: /srv/a.db, REPLICA}]",
    "dbs[]": "dbs:\n  - path: /srv/a.db\n    REPLICA\n%s",
    "replica": "dbs:\n  - path: /srv/a.db\n    replicas:\n      - type: s3\n        bucket: b\n%s",
    "logging": "logging:\n  stderr: true\n%sdbs: [{path: /srv/a.db, REPLICA}]",
    "socket": "socket:\n  enabled: true\n%sdbs: [{path: /srv/a.db, REPLICA}]",
    "snapshot": "snapshot:\n  interval: 5h\n%sdbs: [{path: /srv/a.db, REPLICA}]",
}
INDENT = {"": "", "dbs[]": "    ", "replica": "        "}
VALUE = {"duration": "90s", "bool": "true", "int": "5", "mode": "0600", "size": "5MB"}
WRONG = {"duration": "5 days", "bool": "maybe", "int": "five", "mode": "rw", "size": "big"}


def with_line(place, line):
    template = BASE[place].replace("REPLICA", REPLICA)
    return template % f"{INDENT.get(place, '  ')}{line}\n"


def mutations():
    """Yield series, what was done, the config, the ids of which one is expected, and a word."""
    chance = random.Random(11)
    for series in ("0.3", "0.5"):
        for key in KEYS:
            if key.place not in BASE or (series == "0.3" and key.place in ("socket", "snapshot")):
                continue
            name, place = key.name, key.place
            value = VALUE.get(key.kind, "x")
            if series not in key.series:
                yield (
                    series,
                    "of the other series",
                    with_line(place, f"{name}: {value}"),
                    ("other-series", "misplaced-key"),
                    name,
                )
                continue
            if len(name) > 4 and key.kind not in ("mapping", "mappings"):
                at = chance.randrange(1, len(name) - 1)
                for wrong in (
                    name[:at] + name[at + 1 :],
                    name[:at] + name[at + 1] + name[at] + name[at + 2 :],
                    name.replace("-", "_"),
                ):
                    if wrong not in BY_PLACE[place] and wrong.replace("-", "") != name:
                        text = with_line(place, f"{wrong}: {value}")
                        yield series, "misspelt", text, ("unknown-key",), name
            if key.kind in WRONG:
                text = with_line(place, f"{name}: {WRONG[key.kind]}")
                yield series, "of the wrong type", text, ("wrong-type", "wrong-unit"), name
            if key.kind in VALUE:
                pad = INDENT.get(place, "  ")
                text = with_line(place, f"{name}: {value}\n{pad}{name}: {value}")
                yield series, "doubled", text, ("duplicate-key",), name
            for other in BASE:
                if name not in BY_PLACE[other] and (series, other) not in {
                    ("0.3", "socket"),
                    ("0.3", "snapshot"),
                }:
                    text = with_line(other, f"{name}: {value}")
                    yield series, f"moved to {other}", text, ("misplaced-key",), name
                    break


def test_mutated_configs_give_the_finding_that_a_person_expects():
    count = 0
    for series, what, text, expected, word in mutations():
        rows = [row for row in check(text, series) if row["id"] in expected]
        assert rows, (series, what, word, text, check(text, series))
        said = rows[0]["message"] + rows[0]["hint"]
        assert f"'{word}'" in said, (what, word, said)
        count += 1
    assert count >= 300


def test_an_unknown_key_does_not_stop_a_release_that_is_newer_than_the_tables(series, tmp_path):
    path = tmp_path / "c.yml"
    path.write_text(with_line("", "brand-new-key: 5"))
    levels = {
        version: [row["level"] for row in check_check(str(path), version)]
        for version in (VERSIONS[series], VERSIONS[series] + "9")
    }
    assert [["error"], ["warning"]] == list(levels.values())


def test_places_are_those_of_the_file_not_of_its_expanded_text(monkeypatch):
    monkeypatch.setenv("LONG", "x" * 300)
    monkeypatch.setenv("EMPTY", "")
    text = "# $LONG\ndbs:\n  - {path: /$LONG/a.db, replicaz: 5, replicas: [{path: /${LONG}}]}\n"
    (row,) = [row for row in check(text) if row["id"] == "unknown-key"]
    assert (3, text.splitlines()[2].index("replicaz") + 1) == (row["line"], row["column"])


@pytest.mark.parametrize("value", ["[{path: /b}]", "{path: /b}"])
def test_a_key_is_guessed_that_takes_such_a_value(value):
    (row,) = [r for r in check(f"dbs:\n  - path: /a.db\n    replicsa: {value}\n", "0.5")
              if r["id"] == "unknown-key"]  # fmt: skip
    assert f"Did you mean '{'replicas' if value.startswith('[') else 'replica'}'?" == row["hint"]


def test_unset_variables(monkeypatch):
    monkeypatch.setenv("SET", "x")
    text = one("type: s3, bucket: $SET, path: a, region: $NOT_1") + "# $NOT_COMMENT\n"
    (row,) = check(text)
    assert ("unset-variable", "warning") == (row["id"], row["level"])
    assert "'$NOT_1'" in row["message"]
    rows = check(one("type: s3, path: a\n         , bucket: '${NOT_2}'"))
    assert {"unset-variable", "missing-key"} == {row["id"] for row in rows}
    assert {"error"} == {row["level"] for row in rows}
    rows = check("dbs:\n  - path: /a.db\n    replicas:\n      - type: s3\n        path: x\n"
                 "        bucket: ${NOT:-default} # why\n")  # fmt: skip
    assert "no defaults" in next(row["hint"] for row in rows if row["id"] == "unset-variable")


def test_a_dollar_can_be_written(series, installed, tmp_path):
    text = one("path: /backups", r'path: "/srv/\x24HOME/a.db"')
    assert [] == ids(text, series)
    config = tmp_path / "litestream.yml"
    config.write_text(text)
    done = subprocess.run(
        [installed, "databases", "-config", config], capture_output=True, text=True
    )
    assert "/srv/$HOME/a.db" in done.stdout


def test_expansion_is_that_of_the_rest_of_the_library(monkeypatch):
    from litestream._check.nodes import Text

    monkeypatch.setenv("NAME", "value")
    text = "a $NAME ${NAME}b $$ $1 ${NO:-x} $NO $"
    assert config_file.expand(text) == Text(text).expanded


class TestBadInput:
    LIMITS = 2_000_000_000

    def sentence(self, path) -> str:
        """Run the check as a process of limited memory; return what it says within a second."""

        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (self.LIMITS, self.LIMITS))

        began = time.process_time()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [COMMAND, "check", "--for", "0.5", path],
            capture_output=True, text=True, timeout=60, preexec_fn=limit,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert after.ru_utime - before.ru_utime + time.process_time() - began < 1
        assert 1 == done.returncode, done.stderr
        assert "Traceback" not in done.stderr
        lines = done.stdout.splitlines()
        assert len(lines) == 2, lines[:5]
        return lines[0]

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n" * 1, ""),
            (b"[" * 1_000_000, "nest"),
            (b"dbs:\n\t- path: x\n", "not YAML"),
            ("dbs: []\n".encode("utf-16"), "UTF-16"),
            ("dbs: []\n".encode("utf-32"), "UTF-16 or UTF-32"),
            (b"dbs: \xff\xfe\n", "not in UTF-8"),
            (b"SQLite format 3\0\x10\0\xff", "a SQLite database, not a config"),
            (b"dbs: [\x00]\n", "does not allow"),
            (b"a: \x07\n", "character that YAML does not allow"),
            (b"a: &a {b: *a}\n", "contains it"),
            (b"{" * 30 + b"a" * 100_000, "not YAML"),
            (b"- " * 2_000_000, "nested"),
            (b"? " * 2_000_000, "nested"),
            (b"dbs: " + b"&a " * 1000, "not YAML"),
            (b"!!python/object/apply:os.system [x]", "mapping"),
            (os.urandom(100_000), ""),
            (b"$" * 3_000_000, "more than 50,000 '$'"),
            (b"a: 1\n" * 100 + b"- " * 3, "not YAML"),
        ],
        ids=range(18),
    )
    def test_files(self, content, said, tmp_path):
        path = tmp_path / "c.yml"
        path.write_bytes(content)
        if content.startswith(b"a: &a [x"):
            lines = check_check(str(path), "0.5.17")
            assert {"unknown-key", "no-database"} == {row["id"] for row in lines}
            return
        assert said in self.sentence(path)

    def test_a_hundred_megabytes(self, tmp_path):
        path = tmp_path / "c.yml"
        with path.open("wb") as file:
            file.truncate(100_000_000)
        assert "100 MB" in self.sentence(path)

    def test_a_bomb(self, tmp_path):
        levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30)]
        path = tmp_path / "c.yml"
        text = "\n".join(["x-0: &l0 [{path: /a}]", *[f"x-{line}" for line in levels], "dbs: *l29"])
        path.write_text(text)
        rows = check_check(str(path), "0.5.17")
        assert {"wrong-type"} == {row["id"] for row in rows}
        merge = [f"x-l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 9)}]}}" for n in range(1, 30)]
        path.write_text("\n".join(["x-0: &l0 {addr: '127.0.0.1:1'}", *merge, "dbs: [*l29]"]))
        assert "misplaced-key" in {row["id"] for row in check_check(str(path), "0.5.17")}

    def test_what_is_no_file(self, tmp_path):
        os.mkfifo(tmp_path / "fifo")
        assert "a directory" in self.sentence(tmp_path)
        assert "a pipe" in self.sentence(tmp_path / "fifo")
        assert "a device" in self.sentence("/dev/zero")


class TestFunction:
    def test_rows(self, installed, tmp_path):
        (tmp_path / "litestream.yml").write_text(one("path: backups"))
        (row,) = configuration.check()
        assert {"path", "line", "column", "id", "level", "message", "hint"} == set(row)
        assert str(tmp_path / "litestream.yml") == row["path"]
        assert [] == configuration.check(ignore=["relative-path"])
        assert [] == configuration.check(select=["no-replica"])
        assert [] != configuration.check(select=["relative-path"])

    def test_usage(self, installed, tmp_path):
        with pytest.raises(ConfigNotFoundError):
            configuration.check()
        (tmp_path / "litestream.yml").write_text("dbs: []")
        with pytest.raises(ConfigurationError, match="did you mean 'no-replica'"):
            configuration.check(ignore=["no-replicas"])
        with pytest.raises(ConfigurationError, match=r"0\.4"):
            configuration.check(series="0.4")

    def test_the_series_is_the_executables(self, series, installed, tmp_path):
        (tmp_path / "litestream.yml").write_text("dbs: [{path: /srv/a.db, replica: {path: /b}}]")
        expected = ["no-replica", "other-series"] if series == "0.3" else []
        assert expected == sorted(row["id"] for row in configuration.check())

    def test_errors_are_raised_in_the_same_words(self, tmp_path):
        path = tmp_path / "litestream.yml"
        path.write_text(one("path: backups"))
        require_sound(path, "0.5.17")  # warnings do not stop anything
        path.write_text(one("paht: backups"))
        row = check_check(str(path), "0.5.17")[0]
        with pytest.raises(ConfigurationError) as raised:
            require_sound(path, "0.5.17")
        assert row["message"] in str(raised.value)
        assert row["hint"] in str(raised.value)

    @pytest.mark.parametrize("start", ["Replication", "run", "recover"])
    def test_nothing_starts_on_a_config_with_an_error(self, start, series, installed, tmp_path):
        path = tmp_path / "litestream.yml"
        path.write_text(one("path: /backups, sync-intervall: 5s", f"path: {tmp_path}/a.db"))
        said = "'sync-intervall' is not a key of Litestream, which ignores it [unknown-key]"
        if start == "run":
            done = subprocess.run([COMMAND, "run", "--", "true"], capture_output=True, text=True)
            assert 1 == done.returncode
            assert said in done.stderr
        else:
            begin: Callable[[], object] = litestream.Replication(path).start
            if start == "recover":
                begin = partial(litestream.recover, config=path)
            with pytest.raises(ConfigurationError) as raised:
                begin()
            assert said in str(raised.value)
        assert ["litestream.yml"] == os.listdir(tmp_path)


class TestVerb:
    def run(self, *argv):
        return subprocess.run([COMMAND, "check", *argv], capture_output=True, text=True)

    def test_status_and_lines(self, series, installed, tmp_path):
        (tmp_path / "litestream.yml").write_text(one("path: /backups"))
        done = self.run()
        assert (0, "") == (done.returncode, done.stdout)
        assert "no fault found" in done.stderr
        (tmp_path / "litestream.yml").write_text(one("path: backups"))
        done = self.run()
        assert 0 == done.returncode
        assert "litestream.yml:5:16: warning: a relative path" in done.stdout
        assert done.stdout.splitlines()[0].endswith("[relative-path]")
        assert 1 == self.run("--strict").returncode
        assert 0 == self.run("--strict", "--ignore", "relative-path").returncode
        done = self.run("--config", "litestream.yml", "--select", "no-replica,no-path", "--strict")
        assert 0 == done.returncode
        rows = json.loads(self.run("--json").stdout)
        assert "relative-path" == rows[0]["id"]

    def test_errors(self, series, installed, tmp_path):
        (tmp_path / "litestream.yml").write_text("dbs: []")
        assert 1 == self.run().returncode
        assert 1 == self.run("nowhere.yml").returncode
        assert 2 == self.run("--frobnicate").returncode
        assert 2 == self.run("--for", "0.4").returncode

    def test_it_opens_nothing(self, installed, tmp_path, series):
        (tmp_path / "a.db").write_bytes(b"no database at all")
        (tmp_path / "litestream.yml").write_text(one("url: 's3://b/a'", f"path: {tmp_path}/a.db"))
        done = self.run()
        assert 0 == done.returncode, done.stdout
        assert ["a.db", "litestream.yml"] == sorted(os.listdir(tmp_path))
