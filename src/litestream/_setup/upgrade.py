"""From a config of 0.3 to one of 0.5: what changes, what is lost, and the steps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from litestream._check import check, nodes, values
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from litestream._check.nodes import Node
    from litestream.rows import FindingRow

SUFFIX = "-0.5"
"""The end of the new prefix."""
_GONE = ("retention", "retention-check-interval", "snapshot-interval", "validation-interval")


class Upgrade(NamedTuple):
    """The text for 0.5, its differences, and the obstacles."""

    text: str
    notes: list[str]
    errors: list[FindingRow]
    retention: str


def upgrade(source: str, path: str) -> Upgrade:
    """Return a 0.3 config's text as one for 0.5; comments and order stay.

    Raises:
        ConfigurationError: 0.3 cannot read the config.

    """
    rows = check.check_text(source, path, "0.3")
    if any(row["id"] in ("not-yaml", "second-document", "wrong-type") for row in rows):
        raise ConfigurationError(
            f"Litestream 0.3 cannot read {path!r}: correct what litestream check --for 0.3 finds"
        )
    # of the same length, so that every part keeps its place
    even = nodes.REFERENCE.sub(lambda match: "x" * len(match[0]), source)
    work = _Work(source, even)
    root = nodes.build(even)
    for _, database in _members(root, "dbs"):
        work.database(database)
    text = work.edited()
    interval, retention = work.longest("snapshot-interval"), work.longest("retention")
    if interval or retention:
        held = retention or "24h"
        block = f"snapshot:\n  interval: {interval or held}\n  retention: {held}\n"
        text = text.rstrip("\n") + "\n" + block
        work.notes.append(
            f"'snapshot:' is for all databases now: interval {interval or held}, retention "
            f"{held}, the longest of what the replicas had"
        )
    errors = [
        row
        for row in check.check_text(text, path, "0.5")
        # a variable may be set for Litestream's process
        if row["level"] == "error"
        and "the variable" not in row["hint"]
        and row["id"] != "unset-variable"
    ]
    return Upgrade(text, work.notes, errors, retention or "24h")


def _members(mapping: Node | None, name: str) -> list[tuple[Node, Node]]:
    """Return the entries of a list in a mapping, each with the list's key."""
    for key, value in mapping.pairs if mapping else []:
        if key.text == name:
            return [(key, item) for item in value.items if item.kind == "mapping"]
    return []


class _Work:
    def __init__(self, source: str, even: str) -> None:
        self._source, self._even = source, even
        self._edits: list[tuple[int, int, str]] = []
        self._durations: dict[str, list[str]] = {}
        self.notes: list[str] = []

    def edited(self) -> str:
        """Return the text with its edits, which do not overlap."""
        text = self._source
        for start, end, new in sorted(set(self._edits), reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def longest(self, name: str) -> str:
        """Return the longest duration that a key had."""
        found = self._durations.get(name, [])
        return max(found, key=lambda text: values.seconds(text) or 0, default="")

    def database(self, node: Node) -> None:
        """Note what changes in a database."""
        for key, _ in node.pairs:
            if key.text == "max-checkpoint-page-count":
                self._note(key, "'max-checkpoint-page-count' is gone: 0.5 truncates the WAL")
        self._drop(node, ("max-checkpoint-page-count",))
        replicas = [replica for _, replica in _members(node, "replicas")]
        for replica in replicas[1:]:
            self._drop_item(replica)
            self._note(replica, "this replica is left out: 0.5 takes one for each database")
        for replica in replicas[:1]:
            self._replica(replica)

    def _replica(self, replica: Node) -> None:
        found = {key.text: (key, value) for key, value in replica.pairs}
        for name in _GONE:
            if name in found:
                key, value = found[name]
                if name in ("retention", "snapshot-interval"):
                    self._durations.setdefault(name, []).append(value.text)
                elif name == "validation-interval":
                    self._note(key, "'validation-interval' is gone: 'litestream verify' proves")
        self._drop(replica, _GONE)
        if "age" in found:
            self._note(found["age"][0], "age encryption is impossible on 0.5: stay on 0.3, or let "
                       "the storage encrypt")  # fmt: skip
        for name in ("type", "url"):
            if name in found and re.match("gcs(://|$)", found[name][1].text):
                at = self._source.index("gcs", found[name][1].start)
                self._edits.append((at, at + 3, "gs"))
                self._note(found[name][0], "Google Cloud is 'gs' on 0.5")
        place = found.get("url") or found.get("path")
        if place:
            self._suffix(place[1])
            self._note(place[0], f"a new and empty prefix, '…{SUFFIX}': the old backup stays as it "
                       "is. On Google Cloud, 0.5.17 hangs if 0.3's data is there")  # fmt: skip
        elif replica.pairs:
            first = replica.pairs[0][0]
            flow = self._source[replica.start] == "{"
            indent = " " * (first.start - self._source.rfind("\n", 0, first.start) - 1)
            between = ", " if flow else f"\n{indent}"
            self._edits.append((first.start, first.start, f"path: v{SUFFIX[1:]}{between}"))
            self._note(first, f"a new and empty prefix, 'v{SUFFIX[1:]}'")

    def _suffix(self, value: Node) -> None:
        end = value.end
        if self._source[end - 1] in "\"'":
            end -= 1
        while self._source[end - 1] == "/" and end > value.start + 1:
            end -= 1
        self._edits.append((end, end, SUFFIX))

    def _note(self, node: Node, text: str) -> None:
        line = self._source.count("\n", 0, node.start) + 1
        self.notes.append(f"line {line}: {text}")

    def _drop(self, mapping: Node, names: tuple[str, ...]) -> None:
        """Remove pairs: whole lines if nothing else is on them, else up to the next pair."""
        pairs = mapping.pairs
        gone = [key.text in names for key, _ in pairs]
        at = 0
        while at < len(pairs):
            if not gone[at]:
                at += 1
                continue
            first = at
            while at < len(pairs) and gone[at]:
                at += 1
            start = self._source.rfind("\n", 0, pairs[first][0].start) + 1
            block = self._source[mapping.start] != "{"
            if block and not self._source[start : pairs[first][0].start].strip():
                end = self._source.find("\n", pairs[at - 1][1].end)
                self._edits.append((start, end + 1 if end >= 0 else len(self._source), ""))
            elif at < len(pairs):
                self._edits.append((pairs[first][0].start, pairs[at][0].start, ""))
            elif first:
                self._edits.append((pairs[first - 1][1].end, pairs[at - 1][1].end, ""))

    def _drop_item(self, item: Node) -> None:
        """Remove an entry of a list, with its dash or its comma."""
        before = self._even.rfind("-" if self._source[item.start] != "{" else ",", 0, item.start)
        dash = self._even.rfind("-", 0, item.start)
        start = self._source.rfind("\n", 0, item.start) + 1
        if not self._source[start:dash].strip() and dash >= start:  # a block's entry
            end = item.end
            while end > item.start and self._source[end - 1] in " \n":
                end -= 1
            line = self._source.find("\n", end)
            self._edits.append((start, len(self._source) if line < 0 else line + 1, ""))
        else:
            self._edits.append((before, item.end, ""))


def run_book(path: str, retention: str) -> str:
    """Return the steps of an upgrade, and the way back."""
    old = re.sub(r"(\.ya?ml)?$", r"-0.3\1", path, count=1)
    return f"""\
The way there (nothing is changed by this command):
  1. litestream verify --all                 on 0.3: begin with a backup that is proved
  2. stop the daemon (and the writers, to be able to go back without a loss)
  3. mv {path} {old}
     put the new config at {path}
  4. pip install "litestream==0.5.*"
     litestream check --online
  5. start the daemon: litestream run -- YOUR-PROGRAM
  6. litestream verify --all --exact         on 0.5
  7. keep the old prefix until its retention has passed ({retention}); to restore from it:
     litestream restore -config {old} -o before.db DATABASE
     (0.5 reads 0.3's backups from S3 and from directories; for others install 0.3 beside it)

The way back, at any time:
  1. stop the daemon
  2. mv {old} {path}
  3. pip install "litestream==0.3.13.*"
  4. start the daemon: it begins a new generation under the old prefix
  5. litestream verify --all
"""
