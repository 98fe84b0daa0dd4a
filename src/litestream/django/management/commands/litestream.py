"""``manage.py litestream VERB``: every verb of the command, with the project's own databases."""

from __future__ import annotations

import argparse
import difflib
import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from litestream import _adapters
from litestream.django import _settings
from litestream.errors import LitestreamError


class Command(BaseCommand):
    """Run a verb; an alias of DATABASES stands for its path."""

    help = (
        "Run 'litestream VERB' on the databases of this project; an alias of DATABASES stands for "
        "its path. Django's own options come before the verb."
    )
    requires_system_checks = ()  # `recover` runs while a database is missing
    requires_migrations_checks = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Keep the command after ``--`` away from argparse, which removes the mark."""
        parser: CommandParser = super().create_parser(prog_name, subcommand, **kwargs)
        parse = parser.parse_args

        def parse_args(args: Any = None, namespace: Any = None) -> argparse.Namespace:
            words = list(args or ())
            at = words.index("--") if "--" in words else len(words)
            found: argparse.Namespace = parse(words[:at], namespace)
            found.command = words[at:]
            return found

        parser.parse_args = parse_args
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """Take everything after the verb as it is."""
        parser.add_argument("verb", help="such as recover, run, verify; 'help' lists all of them")
        parser.add_argument("arguments", nargs=argparse.REMAINDER)

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the verb.

        Raises:
            CommandError: It failed; ``manage.py`` ends with its exit status.

        """
        verb = options["verb"]
        own = [self._path(word) for word in options["arguments"]]
        if verb in ("recover", "run"):
            own[:0] = ["--expect", _settings.expect()]
        argv = [verb, *own, *options["command"]]
        try:
            status = _adapters.invoke(argv, _settings.config(), "LITESTREAM['REPLICAS']")
        except LitestreamError as error:
            raise CommandError(str(error)) from error
        if status:
            raise CommandError(f"litestream {verb} ended with status {status}", returncode=status)

    def _path(self, word: str) -> str:
        aliases = list(settings.DATABASES)
        if word in _settings.sqlite():
            return _settings.path(word)
        if word in aliases:
            raise CommandError(
                f"The database {word!r} cannot be replicated: it is not a SQLite database in a file"
            )
        close = difflib.get_close_matches(word, aliases, 1)
        if close and not os.path.exists(word):
            raise CommandError(
                f"{word!r} is neither an alias of DATABASES nor a file. Did you mean {close[0]!r}?"
            )
        return word
