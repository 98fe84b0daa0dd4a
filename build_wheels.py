"""Build what users install: one wheel per platform and upstream series, and the sdist.

    python build_wheels.py fetch           put the pinned executables into vendor/
    python build_wheels.py build           fetch what is missing, build wheels and sdist into dist/
    python build_wheels.py check DIST      check every promise of a release
    python build_wheels.py pin VERSION     pin a new upstream release

Needs Python 3.10 or newer and pip; on 3.10 also `tomli`.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from wheels import build, check, fetch, pin, pins


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

    command = commands.add_parser("build", help="fetch what is missing, build wheels and sdist")
    command.add_argument("--series", default="all", help="0.3, 0.5 or all (default)")
    command.add_argument("--platform", default="all", help="native, all (default), or a name")
    command.add_argument("--out", type=Path, default=Path("dist"), help="the folder for them")
    _add_sources(command)
    command.set_defaults(run=_build)

    command = commands.add_parser("check", help="check finished wheels and the sdist")
    command.add_argument("dist", type=Path, metavar="DIST", help="the folder they are in")
    command.add_argument("--vendor", type=Path, default=pins.VENDOR, help=argparse.SUPPRESS)
    command.set_defaults(run=lambda options: check.check(options.dist, pins.read(options.vendor)))

    command = commands.add_parser("pin", help="pin a new upstream release in upstream.toml")
    command.add_argument("version", metavar="VERSION", help="such as 0.5.18")
    _add_sources(command)
    command.set_defaults(run=_pin)

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
        for one in chosen:
            if (one.series, one.platform) == (pinned.default, pins.native()):
                _link_into_package(one)


def _build(options: argparse.Namespace) -> None:
    pinned = pins.read(options.vendor)
    chosen = pinned.chosen(options.series, options.platform)
    fetch.fetch(chosen, options.releases)
    for file in build.build(chosen, options.out):
        print(f"{file}: {file.stat().st_size} bytes")


def _pin(options: argparse.Namespace) -> None:
    pinned = pins.read(options.vendor)
    pin.pin(options.version, pinned, options.vendor, options.releases)
    print(f"{options.vendor / 'upstream.toml'}: {options.version} is pinned; look at the change")


def _link_into_package(pinned: pins.Pin) -> None:
    """Let the editable install of this checkout find its executable.

    Only ever that of the default series: it is the version which the checkout has. Git ignores
    the link, and sdists and wheels are built from what git tracks.
    """
    link = pins.ROOT / "src/litestream/bin/litestream"
    target = os.path.relpath(pinned.path, link.parent)
    if not (link.is_symlink() and str(link.readlink()) == target):
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    link.with_name(f"{link.name}.version").write_bytes(build.note(pinned))


def _failed(reason: str) -> int:
    print(f"build_wheels.py: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
