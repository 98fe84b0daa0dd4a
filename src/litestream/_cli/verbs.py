"""The package's own verbs: which there are, the help, and the arguments of the small ones."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, TextIO

from litestream import _settings
from litestream._cli.arguments import with_two_dashes
from litestream._executable.find import find as find_executable
from litestream._executable.series import version as version_of
from litestream._executable.traps import EXAMINED, TRAPS, is_among, of
from litestream.errors import LitestreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

PURPOSES = {
    "check": "say what is wrong with the config, line by line",
    "config": "print the config as the daemon sees it, and where each value came from",
    "dashboard": "serve a page about the health of the backups on this computer",
    "demo": "replicate, lose and restore a database in a temporary directory",
    "env": "print the environment variables that litestream.configure() sets for configs",
    "health": "say how the backups are, without calling the replica",
    "history": "print the proofs so far",
    "init": "write a config for the databases of this project",
    "recover": "restore the databases that are missing, before the application starts",
    "run": "recover, replicate, and run a command beside the daemon",
    "upgrade": "show how to go from Litestream 0.3 to 0.5: the new config and the steps",
    "verify": "prove that backups restore and are up to date",
    "which": "print the path of the executable",
}
_HIDDEN = "***"
_MODULES = {  # of _cli; each verb imports its own module only
    **dict.fromkeys(("check", "config", "init", "upgrade"), "config"),
    **dict.fromkeys(("health", "history"), "health"),
    **dict.fromkeys(("generations", "snapshots"), "listings"),
    "dashboard": "dashboard",
    "recover": "recover",
    "verify": "verify",
}


def run(argv: Sequence[str]) -> int:
    """Run a verb, or print the help or the version, and return the exit status."""
    try:
        try:
            return _run_verb(argv)
        finally:
            if sys.stdout is not None:  # closed when this process was started
                sys.stdout.flush()
    except BrokenPipeError:  # the reader has gone: end as the executable does
        _discard_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if isinstance(error, LitestreamError):
            raise
        _discard_output()
        print(f"litestream: {error}", file=sys.stderr)
        return 1


def _run_verb(argv: Sequence[str]) -> int:
    if not argv:
        return _help(sys.stderr)
    if argv[0] == "--version":
        from litestream import __version__  # costs more than a check of the config

        try:
            print(f"litestream {__version__} (Litestream {version_of(find_executable())})")
        except LitestreamError:  # the question for a bug report
            print(f"litestream {__version__}", flush=True)
            raise
        return 0
    if argv[0] == "run":  # its parser leaves alone what follows --
        from litestream._cli.run import run as run_command

        return run_command(argv[1:])
    if argv[0] not in PURPOSES and argv[0] not in _MODULES:
        return _help(sys.stdout)
    parser, verbs = _parser(argv[0])
    options, rest = parser.parse_known_args([argv[0], *with_two_dashes(argv[1:])])
    if rest:
        verbs.choices[argv[0]].error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        status: int = options.run(options)
    except LitestreamError as error:
        if getattr(options, "json", False):
            _print_error(argv[0], error)
        raise
    return status


def _discard_output() -> None:
    """Discard the unwritten output, so that the interpreter does not write it again at exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _help(stream: TextIO) -> int:
    """Print the help; the status is 2 on standard error, for a command line without a verb."""
    from litestream._cli import listings

    upstream = _upstream_help()
    purposes = dict(PURPOSES)
    purposes |= {v: t for v, t in listings.PURPOSES.items() if f"\n    {v} " not in upstream}
    own = "\n".join(f"    {verb:<12} {text}" for verb, text in sorted(purposes.items()))
    text = (
        "usage: litestream VERB [ARGUMENT ...]\n\n"
        "Replicate SQLite databases, prove their backups, restore them.\n\n"
        f"This package's own verbs ('litestream VERB --help' explains one):\n\n{own}\n\n"
        f"{upstream}\n"
    )
    print(text, end="", file=stream)
    return 0 if stream is sys.stdout else 2


def _upstream_help() -> str:
    from litestream._executable import run as executable_run

    try:
        path = find_executable()
        printed = executable_run.run(
            [path, "help"], timeout=executable_run.TIMEOUT, accepted=(0, 1)
        ).stdout
        number = version_of(path)
    except LitestreamError as error:
        return f"The executable's verbs cannot be listed: {error}"
    verbs = re.findall(r"^\t(\w+) {2,}(\S.*)$", printed, re.MULTILINE)
    listed = "\n".join(f"    {verb:<12} {text}" for verb, text in verbs)
    return (
        f"Verbs of Litestream {number}, handed to the executable as they are "
        f"('litestream VERB -h' explains one):\n\n{listed}"
    )


def _print_error(verb: str, error: LitestreamError) -> None:
    import json

    from litestream._cli.verify import UNUSABLE

    known = UNUSABLE if verb == "verify" else {}
    print(json.dumps({**known, "error": type(error).__name__, "message": str(error)}))


def _parser(
    verb: str,
) -> tuple[argparse.ArgumentParser, argparse._SubParsersAction[argparse.ArgumentParser]]:
    """Return a verb's parser, its usage line naming every verb, and the subparsers."""
    parser = argparse.ArgumentParser(prog="litestream", allow_abbrev=False)
    # The usage line names every verb, `run` among them, which has a parser of its own.
    every = "{" + ",".join(PURPOSES) + "}"
    verbs = parser.add_subparsers(
        dest="verb",
        required=True,
        metavar=every,
        prog=parser.prog,  # argparse would import shutil to find it
    )

    if verb in _MODULES:
        import_module(f"litestream._cli.{_MODULES[verb]}").add(verbs)
        return parser, verbs

    demo = verbs.add_parser("demo", description=PURPOSES["demo"].capitalize() + ".")
    demo.set_defaults(run=_demo)

    env = verbs.add_parser(
        "env",
        description="Print the environment variables for the config, quoted for a shell: those "
        "that are set here, and those that litestream.configure() has set.",
    )
    env.add_argument("--show-secrets", action="store_true", help="print secrets instead of ***")
    env.set_defaults(run=_env)

    which = verbs.add_parser("which", description="Print the path of the executable.")
    which.add_argument(
        "--verbose",
        action="store_true",
        help="print its version and the traps of its release",
    )
    which.set_defaults(run=_which)
    return parser, verbs


def _demo(_options: argparse.Namespace) -> int:
    from litestream._cli.demo import run as run_demo

    return run_demo()


def _env(options: argparse.Namespace) -> int:
    import shlex

    values = _settings.variables()
    for variable in dict.fromkeys([*_settings.VARIABLES.values(), *values]):
        value = values.get(variable)
        if value is None:
            print(f"# {variable} is not set")
            continue
        if value and _settings.is_secret(variable) and not options.show_secrets:
            value = _HIDDEN
        print(f"{variable}={shlex.quote(value)}")
    return 0


def _which(options: argparse.Namespace) -> int:
    path = find_executable()
    print(path)
    if options.verbose:
        version = version_of(path)
        known = "examined" if is_among(version, EXAMINED) else "not examined"
        traps = of(version)
        print(f"Litestream {version}, {known}: {len(traps)} of {len(TRAPS)} traps")
        for trap in traps:
            print(f"  {trap}: {TRAPS[trap]}")
    return 0
