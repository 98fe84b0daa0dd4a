"""Litestream in a Flask application: ``flask litestream VERB``, and the barrier before "saved".

::

    from litestream.flask import Litestream

    app.config["LITESTREAM_REPLICAS"] = {app.config["DATABASE"]: "s3://bucket/app"}
    Litestream(app)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import flask

import litestream
from litestream import _adapters, configuration
from litestream.errors import ConfigurationError, LitestreamError

if TYPE_CHECKING:
    import os

    from litestream.configuration import ConfigArgument

__all__ = ["Litestream"]

_NAME = "litestream"
_PREFIX = "LITESTREAM_"
_CONFIG, _EXPECT, _REPLICAS = (_PREFIX + name for name in ("CONFIG", "EXPECT", "REPLICAS"))
_KNOWN = {_CONFIG, _EXPECT, _REPLICAS, *configuration.VARIABLES.values()}


class Litestream:
    """Give an application the command ``flask litestream``, and itself as an extension.

    Settings are ``LITESTREAM_REPLICAS``, a dictionary of a database's path to its replica URL, or
    ``LITESTREAM_CONFIG``, the path of a ``litestream.yml`` (without either, the usual places are
    searched), and ``LITESTREAM_EXPECT`` for ``recover`` and ``run``. The five variables that
    ``litestream.configure`` fills are taken from the settings as well. Nothing starts here: see
    ``flask litestream run``.
    """

    def __init__(self, app: flask.Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Register the command and the extension.

        Raises:
            ConfigurationError: A setting is unknown or wrong, or the application has the extension.

        """
        if _NAME in app.extensions:
            raise ConfigurationError(
                "This application has the Litestream extension already: call Litestream(app) once"
            )
        _require_valid(app.config)
        configuration.configure(
            **{
                setting: app.config[variable]
                for setting, variable in configuration.VARIABLES.items()
                if variable in app.config
            }
        )
        app.extensions[_NAME] = self
        app.cli.add_command(_command)

    @property
    def config(self) -> ConfigArgument:
        """Return the config of the current application's settings, for every ``config=``."""
        return _config(flask.current_app)

    def sync(self, database: str | os.PathLike[str], timeout: float = 30.0) -> None:
        """Return when everything committed to a database is in its replica.

        Raises:
            ReplicationTimeoutError: The replica did not have it after ``timeout`` seconds.

        """
        litestream.sync(database, timeout, config=self.config)

    def verify(
        self, database: str | os.PathLike[str] | None = None, **options: Any
    ) -> list[dict[str, Any]]:
        """Prove the backup of a database, or of all, and return the proofs, ready for JSON.

        Raises:
            VerificationFailure: A backup is not proved.

        """
        return _adapters.prove(self.config, database, **options)


def _config(app: flask.Flask) -> ConfigArgument:
    found: ConfigArgument = app.config.get(_REPLICAS) or app.config.get(_CONFIG)
    return found


def _require_valid(settings: flask.Config) -> None:
    for name in settings:
        if name.startswith(_PREFIX) and name not in _KNOWN:
            raise ConfigurationError(
                f"The setting {name} is unknown. {_adapters.suggestion(name, _KNOWN)}"
            )
    replicas = settings.get(_REPLICAS)
    if replicas and settings.get(_CONFIG):
        raise ConfigurationError(f"{_REPLICAS} and {_CONFIG} are both set: remove one of them")
    if not isinstance(replicas or {}, dict):
        raise ConfigurationError(
            f"{_REPLICAS} is not a dictionary: map each database's path to its replica URL"
        )
    for path in replicas or ():
        if ":memory:" in str(path) or "://" in str(path):
            raise ConfigurationError(
                f"{_REPLICAS} names {str(path)!r}, which is not a file. Give the path of a SQLite "
                "database; one in memory has no backup"
            )


class _Verbs(click.Command):
    """A command that passes every word on to ``litestream``, ``--`` and ``--help`` among them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words as they are."""
        ctx.params["arguments"] = tuple(args)
        return []


@click.command(
    _NAME, cls=_Verbs, help="Run 'litestream VERB' on this application's databases: see 'help'."
)
@flask.cli.with_appcontext
def _command(arguments: tuple[str, ...]) -> None:
    words = list(arguments)
    expect = flask.current_app.config.get(_EXPECT)
    if expect and words[:1] in (["recover"], ["run"]):
        words[1:1] = ["--expect", expect]
    try:
        status = _adapters.invoke(words, _config(flask.current_app), _REPLICAS)
    except LitestreamError as error:
        raise click.ClickException(str(error)) from error
    if status:
        raise click.exceptions.Exit(status)
