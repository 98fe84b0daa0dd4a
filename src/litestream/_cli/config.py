"""The verbs about the config: their arguments and their output."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from litestream import _settings, configuration
from litestream._cli.arguments import CONFIG
from litestream._config import file as config_file

if TYPE_CHECKING:
    import argparse

    from litestream._check.probe import Step
    from litestream.rows import FindingRow

_CHECK = """Say what is wrong with the config, as path:line:column: message [id], with a hint.
Without --online, neither a database nor the network is used. No value of the config is shown. The
exit status is 0 without an error, 1 with one, 2 for wrong usage."""

_INIT = """Write a config for the databases of this project: the named ones, else those of Django,
of a URL in the environment, or the SQLite files below this directory. The config has no secret:
it refers to variables. Without --force, an existing config is not replaced: the changes are
shown."""

_CONFIG = """Print the config as the daemon sees it: variables replaced, defaults filled in, secrets
masked, and where each value came from."""
_UPGRADE = """Print what a config of Litestream 0.3 becomes on 0.5, as a unified diff, and the steps
there and back. Nothing is changed. The exit status is 1 if 0.5 cannot do what the config wants."""


def add(verbs: Any) -> None:
    """Add the verbs to a parser's subparsers."""
    check = verbs.add_parser("check", description=_CHECK)
    check.add_argument("config", nargs="?", help=CONFIG)
    check.add_argument("--config", dest="named", metavar="FILE", help="the same")
    _series(check)
    check.add_argument("--json", action="store_true", help="print the findings as JSON")
    check.add_argument("--select", metavar="IDS", default="", help="report only these (a,b)")
    check.add_argument("--ignore", metavar="IDS", default="", help="do not report these")
    check.add_argument(
        "--online",
        action="store_true",
        help="try it: open the databases, write to the replica",
    )
    check.add_argument("--strict", action="store_true", help="fail at warnings, too")
    check.set_defaults(run=_check)

    init = verbs.add_parser("init", description=_INIT)
    init.add_argument("database", nargs="*", help="its path (default: search this project)")
    init.add_argument("--to", metavar="TYPE", help="s3 (the default), r2, b2, minio, spaces, "
                      "tigris, hetzner, sftp, abs, gs, webdav, nats or file")  # fmt: skip
    init.add_argument(
        "--output", metavar="FILE", default="litestream.yml", help="the config to write"
    )
    init.add_argument("--relative", action="store_true", help="write relative paths")
    init.add_argument("--force", action="store_true", help="replace an existing config")
    _series(init)
    init.set_defaults(run=_init)

    config = verbs.add_parser("config", description=_CONFIG)
    config.add_argument("config", nargs="?", help=CONFIG)
    _series(config)
    config.set_defaults(run=_config)

    upgrade = verbs.add_parser("upgrade", description=_UPGRADE)
    upgrade.add_argument("config", nargs="?", help=CONFIG)
    upgrade.add_argument("--text", action="store_true", help="print the new config only")
    upgrade.set_defaults(run=_upgrade)


def _series(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for",
        dest="series",
        choices=["0.3", "0.5"],
        help="the series of Litestream (default: the executable's)",
    )


def _ids(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _check(options: argparse.Namespace) -> int:
    rows = configuration.check(
        options.named or options.config,
        series=options.series,
        select=_ids(options.select),
        ignore=_ids(options.ignore),
        online=options.online,
        progress=None if options.json else _told,
    )
    if options.json:
        import json

        print(json.dumps(rows, indent=2))
    else:
        _print(rows)
    return 1 if any(options.strict or row["level"] == "error" for row in rows) else 0


def _told(step: Step) -> None:
    trouble = step.trouble
    mark = "ok" if trouble is None else "FAILED" if trouble.level == "error" else "warning"
    said = trouble.message if trouble else step.said
    print(f"{mark:<8}{step.name} ({step.seconds:.2f} s): {said}", flush=True)


def _print(rows: list[FindingRow]) -> None:
    from litestream._check.report import line as check_line

    for row in rows:
        shown: FindingRow = {**row, "path": _shown(row["path"])}
        print(f"{check_line(shown)}\n    {row['hint']}")
    errors = sum(row["level"] == "error" for row in rows)
    found = [f"{errors} error{'s' * (errors != 1)}"] if errors else []
    if warnings := len(rows) - errors:
        found.append(f"{warnings} warning{'s' * (warnings != 1)}")
    print(f"litestream check: {', '.join(found) or 'no fault found'}", file=sys.stderr)


def _shown(path: str) -> str:
    """Return a path for people: relative if it is below this directory."""
    below = os.path.relpath(path)
    return path if below.startswith("..") else below


def _init(options: argparse.Namespace) -> int:
    from litestream._executable.series import series as series_of
    from litestream._setup import create

    series = options.series or series_of()
    plan = create.plan(options.database, ".", series)
    kind = options.to or _asked()
    text = create.text(plan, kind, series, relative=options.relative)
    print(f"A config for Litestream {series}, to {create.KINDS[kind].about}:")
    for name, each in plan.chosen.items():
        print(f"  {each.path} ({each.origin}), as {name!r}")
    for each in plan.left_out:
        print(f"  left out: {each.path}: {each.reason}")
    if not _written(options.output, text, replace=options.force):
        return 1
    where = "" if options.output == "litestream.yml" else f" --config {options.output}"
    print("Set these variables, or give them to litestream.configure() in Python:")
    for variable, about in create.KINDS[kind].variables.items():
        print(f"  {variable}: {about}")
    print(
        f"Then:\n  litestream check{where}\n  litestream run{where} -- YOUR-PROGRAM\n"
        f"  litestream verify --all{where}"
    )
    return 0


def _config(options: argparse.Namespace) -> int:
    from litestream._config import keys
    from litestream._executable.find import find as find_executable
    from litestream._executable.series import version as version_of
    from litestream._setup import show

    version = keys.VERSIONS.get(options.series) or version_of(find_executable())
    path = _settings.find_config(options.config)
    print(show.show(path, version), end="")
    rows = configuration.check(path, series=options.series)
    if any(row["level"] == "error" for row in rows):
        print("litestream config: the config has errors; run litestream check", file=sys.stderr)
        return 1
    return 0


def _upgrade(options: argparse.Namespace) -> int:
    from litestream._check.report import line as check_line
    from litestream._setup.upgrade import run_book
    from litestream._setup.upgrade import upgrade as upgrade_upgrade

    path = _settings.find_config(options.config)
    source = config_file.text(path)
    found = upgrade_upgrade(source, path)
    if options.text:
        print(found.text, end="")
    else:
        shown = _shown(_settings.called(path))
        print(difference(source, found.text, f"{shown} (0.3)", f"{shown} (0.5)"))
        for note in found.notes:
            print(f"{shown}, {note}")
        print("\n" + run_book(shown, found.retention), end="")
    for row in found.errors:
        print(f"litestream upgrade: {check_line(row)}\n    {row['hint']}", file=sys.stderr)
    return 1 if found.errors else 0


def _asked() -> str:
    """Ask for the kind of replica on a terminal; ``s3`` without one."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "s3"
    from litestream._setup.create import KINDS

    for name, kind in KINDS.items():
        print(f"  {name:<8} {kind.about}")
    while True:
        answer = input("Where to? [s3] ").strip() or "s3"
        if answer in KINDS:
            return answer


def _written(path: str, text: str, *, replace: bool) -> bool:
    """Write a config completely or not at all; without ``replace``, show the changes instead."""
    import tempfile

    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            before = file.read()
    except FileNotFoundError:
        before = ""
    if before == text:
        print(f"{path} is up to date.")
        return True
    if before and not replace:
        print(difference(before, text, path, f"{path} (new)"), end="")
        print(f"litestream init: {path} exists: --force replaces it", file=sys.stderr)
        return False
    mode = os.stat(path).st_mode & 0o777 if before else 0o644
    path = os.path.realpath(path)
    file_descriptor, beside = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".litestream-")
    try:
        with open(file_descriptor, "w", encoding="utf-8", newline="") as file:
            os.fchmod(file_descriptor, mode & ~_private(text))
            file.write(text)
            file.flush()
            os.fsync(file_descriptor)
        if replace:
            os.replace(beside, path)
        else:
            os.link(beside, path)  # fails if somebody else made one meanwhile
    finally:
        if os.path.exists(beside):
            os.unlink(beside)
    print(f"Written to {path}")
    return True


def difference(before: str, after: str, old: str, new: str) -> str:
    """Return a unified diff of two configs, secrets masked."""
    import difflib
    import re

    from litestream._config.keys import SECRET_KEYS

    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), old, new, lineterm="")
    secret = "|".join(sorted(SECRET_KEYS))
    hidden = re.compile(rf"(\b(?:{secret})['\"]?\s*:\s*)[^\s$][^,}}]*")
    shown = [_settings.masked(hidden.sub(r"\1***", line)) for line in lines]
    return "".join(f"{line}\n" for line in shown)


def _private(text: str) -> int:
    """Return the bits to take out of a file's mode: those of others if the text has a secret."""
    from litestream._check.check import check_text

    rows = check_text(text, "", "0.5")
    return 0o077 if any(row["id"] == "secret-in-file" for row in rows) else 0
