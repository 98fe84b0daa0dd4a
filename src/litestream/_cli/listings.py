"""``generations`` and ``snapshots`` for 0.5, which has neither; the output is that of 0.3."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from litestream import commands
from litestream._cli.arguments import add_config, add_expand_env
from litestream.rows import GenerationRow, SnapshotRow

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

PURPOSES = {
    "generations": "list the generations in the replicas of a database (0.5: one, its LTX files)",
    "snapshots": "list the snapshots in the replicas of a database",
}


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verbs to a parser's subparsers."""
    for verb, purpose in PURPOSES.items():
        parser = verbs.add_parser(
            verb, description=f"{purpose[0].upper()}{purpose[1:]}.", allow_abbrev=False
        )
        parser.add_argument("database", metavar="DB_PATH|REPLICA_URL")
        add_config(parser)
        parser.add_argument("--replica", metavar="NAME", help="this replica only (0.3)")
        add_expand_env(parser)
        parser.add_argument("--json", action="store_true", help="print the rows as JSON")
        parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    listing: Any = getattr(commands, options.verb)
    rows = listing(
        options.database,
        replica=options.replica,
        config=options.config,
        expand_env=options.expand_env,
    )
    if options.json:
        print(json.dumps(rows))
    else:
        row: Any = GenerationRow if options.verb == "generations" else SnapshotRow
        print(table(list(row.__annotations__), rows))
    return 0


def table(columns: Sequence[str], rows: Sequence[Any]) -> str:
    """Return rows below a header, two spaces between the columns, as Go's tabwriter prints them."""
    cells = [list(columns), *([str(row[column]) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(line[:-1], widths, strict=False)), line[-1]])
        for line in cells
    )
