"""The ``litestream`` command: our own verbs; everything else is handed to the executable.

Only what the hand-through needs is imported at the top: every ``litestream <verb>`` pays for it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal imports enum, which costs more than this
import os
import sys

from litestream import _settings
from litestream._executable import traps
from litestream._executable.find import find as find_executable
from litestream.errors import ConfigNotFoundError, ConfigurationError, LitestreamError

_ASKED = ("-h", "-help", "--help", "help", "--version")
OWN_VERBS = (  # _cli.verbs says what they do
    *("check", "config", "dashboard", "demo", "env", "health", "history", "init", "recover"),
    *("run", "upgrade", "verify", "which"),
)
TRANSLATED = ("generations", "snapshots")  # this package's own on 0.5, which has none
_UPSTREAM_VERBS = (
    *("databases", "generations", "info", "list", "ltx", "mcp", "register", "replicate", "reset"),
    *("restore", "snapshots", "start", "status", "stop", "sync", "unregister", "version", "wal"),
)
_OF_A_DAEMON = ("info", "list", "register", "sync", "unregister")
_LISTINGS = ("databases", "generations", "ltx", "snapshots", "wal")
_WITH_VALUE = ("config", "generation", "level", "replica")  # their flags that take one
_WARNINGS = {  # a verb: the probe of its trap, and what to do instead
    "sync": (
        "sync-wait",
        "'litestream sync' can damage the replica for good, without an error, while others write "
        "to the database. Safe instead, from Python: litestream.commands.sync(path, wait=True)",
    ),
    "restore -force": (
        "force-deletes-first",
        "'restore -force' deletes the database before it knows that the restore works. Safe "
        "instead, from Python: litestream.commands.restore(path, output, force=True)",
    ),
    "stop": (
        "stop-start",
        "'stop' and then 'start' loses changes without an error when the WAL was checkpointed in "
        "between. Restart the daemon's process instead",
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the ``litestream`` command and return its exit status: 0 fine, 1 failed, 2 usage.

    Does not return if the executable takes over.
    """
    argv = sys.argv[1:] if arguments is None else arguments
    try:
        _load_settings()
        if not argv or argv[0] in _ASKED or argv[0] in OWN_VERBS or _is_translated(argv[0]):
            from litestream._cli import verbs

            return verbs.run(argv)
        if argv[0] in _OF_A_DAEMON:
            from litestream._cli import of_daemon

            socket = of_daemon.socket(argv)
            if socket is not None and argv[0] == "sync":
                return of_daemon.sync(argv[1:], socket)
            argv = [argv[0], *([] if socket is None else ["-socket", socket]), *argv[1:]]
        hand_through(argv)
    except LitestreamError as error:
        print(f"litestream: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _load_settings() -> None:
    """Call the function that ``LITESTREAM_SETTINGS=module:function`` names.

    Raises:
        ConfigurationError: There is no such function, or it failed.

    """
    named = os.environ.get("LITESTREAM_SETTINGS")
    if not named:
        return
    import importlib

    module, _, function = named.partition(":")
    before = sys.path[:]
    sys.path.insert(0, os.getcwd())  # as gunicorn and uvicorn do for module:application
    try:
        call = getattr(importlib.import_module(module), function or "configure")
        call()
    except LitestreamError:
        raise
    except Exception as error:  # whatever the application's code raises
        raise ConfigurationError(
            f"LITESTREAM_SETTINGS={named} could not be called: {type(error).__name__}: {error}. It "
            "must name a function without arguments, as in 'myapp.settings:configure_litestream'"
        ) from error
    finally:
        sys.path[:] = before


def _is_translated(verb: str) -> bool:
    if verb not in TRANSLATED:
        return False
    from litestream._executable.series import series

    return series() == "0.5"


def hand_through(argv: list[str]) -> None:
    """Become the executable, with the settings' variables and the config that was found."""
    path = find_executable()
    verb = argv[0]
    if verb == "restore" and any(a.startswith(("-force", "--force")) for a in argv):
        verb = "restore -force"
    if verb in _WARNINGS:
        trap, text = _WARNINGS[verb]
        warning = f"up to Litestream {traps.last(trap)}, {text}"
        print(f"litestream: warning: {warning}", file=sys.stderr, flush=True)
    _suggest(verb)
    environment = _settings.environment()
    if not environment.get("LITESTREAM_CONFIG"):
        try:
            environment["LITESTREAM_CONFIG"] = _settings.find_config()
        except ConfigNotFoundError as error:
            if argv in (
                ["databases"],
                ["replicate"],
            ):  # the executable names one place only
                print(f"litestream: {error}", file=sys.stderr, flush=True)
    if argv[0] in _LISTINGS:
        _require_set(argv, environment.get("LITESTREAM_CONFIG"))
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)  # Python ignores it; children inherit that
    try:
        os.execve(path, [path, *argv], environment)  # noqa: S606
    except OSError as error:
        from litestream._executable import run

        raise run.not_runnable(path, error) from error


def _require_set(argv: list[str], config: str | None) -> None:
    """Refuse to list what is at another place, for want of a variable, as if it were empty.

    Raises:
        ConfigurationError: A variable in the place of the replica is not set.

    """
    words = iter(argv[1:])
    database = None
    for word in words:
        flag, given, value = word.lstrip("-").partition("=")
        if not word.startswith("-"):
            database = word
            break  # as Go's flags end
        if flag == "no-expand-env":
            return
        if flag in _WITH_VALUE:
            value = value if given else next(words, "")
            config = value if flag == "config" else config
    if not config or (database or "").find("://") > 0:
        return
    from litestream._config import file

    if not os.path.isfile(config) or not file.refers_to_unset(file.text(config)):
        return
    from litestream._config import variables
    from litestream._config.config import Config
    from litestream._config.paths import target
    from litestream._executable.series import series

    found = Config(series(), os.path.abspath(config))
    variables.require_set(found, target(database) if database else None)


def _suggest(verb: str) -> None:
    """Suggest a verb in place of an unknown one."""
    if verb in _UPSTREAM_VERBS or verb.startswith("-"):
        return
    from difflib import get_close_matches

    close = get_close_matches(verb, {*_UPSTREAM_VERBS, *OWN_VERBS}, 1, 0.75)
    if close:
        print(f"litestream: did you mean {close[0]!r}?", file=sys.stderr, flush=True)
