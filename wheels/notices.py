"""What is inside an executable, under which licences, and the notices that go with it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wheels.pins import Pin, WorkshopError

if TYPE_CHECKING:
    from pathlib import Path

    from wheels.binary import Facts

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Component:
    """One thing inside an executable; licence by SPDX expression."""

    name: str
    version: str
    license: str
    copyright: tuple[str, ...]
    notice: str
    purl: str


def components(pin: Pin, facts: Facts) -> list[Component]:
    """List what the executable holds: Litestream first, then everything linked into it."""
    table = tomllib.loads((pin.vendor / "licenses/go-modules.toml").read_text("utf-8"))
    repository = "benbjohnson/litestream"
    found = [
        _component("Litestream", pin.version, f"pkg:github/{repository}@v{pin.version}", {
            "license": "Apache-2.0",
            "notice": f"By Ben Johnson and contributors. https://github.com/{repository}",
        }),
        _component("Go standard library", facts.go, f"pkg:golang/std@{facts.go}", {
            "license": "BSD-3-Clause",
            "copyright": ["Copyright 2009 The Go Authors."],
        }),
    ]  # fmt: skip
    if facts.has_glibc:
        found.append(
            _component("GNU C Library", "", "pkg:generic/glibc", {
                "license": "LGPL-2.1-or-later",
                "copyright": ["Copyright (C) Free Software Foundation, Inc."],
                "notice": "Linked statically. To link Litestream against another C library, "
                f"build it from its source: https://github.com/{repository}",
            })
        )  # fmt: skip
    for module in facts.modules:
        entry = _entry(table, module.path)
        purl = f"pkg:golang/{module.path.lower()}@{module.version}"
        found.append(_component(module.path, module.version, purl, entry))
    return found


def _component(name: str, version: str, purl: str, entry: dict[str, Any]) -> Component:
    copyright_lines = tuple(entry.get("copyright", ()))
    return Component(
        name, version, entry["license"], copyright_lines, entry.get("notice", ""), purl
    )


def _entry(table: dict[str, Any], path: str) -> dict[str, Any]:
    keys = [key for key in table if path == key or path.startswith(f"{key}/")]
    if not keys:
        raise WorkshopError(
            f"the licence of the Go module {path} is not known: read it and add it to "
            "vendor/licenses/go-modules.toml"
        )
    entry: dict[str, Any] = table[max(keys, key=len)]
    return entry


def identifiers(found: list[Component]) -> list[str]:
    """Return the SPDX identifiers of all licences, sorted."""
    return sorted({name for component in found for name in component.license.split(" AND ")})


def expression(found: list[Component]) -> str:
    """Return the SPDX expression for a wheel: ours, and those of everything inside."""
    return " AND ".join(dict.fromkeys(["MIT", *identifiers(found)]))


def text(found: list[Component], licenses: Path) -> str:
    """Write the notices: what is inside, by whom, and each licence text once."""
    parts = [
        "This wheel carries the executable of Litestream as its project released it, unmodified.\n"
        "The Python code around it is no part of that project and under the MIT licence in LICENSE."
        "\nThe executable is linked statically and contains the following.\n"
    ]
    for component in found:
        lines = [f"{component.name} {component.version}".rstrip(), component.license]
        lines += [*component.copyright, *([component.notice] if component.notice else [])]
        parts.append("\n    ".join(lines) + "\n")
    parts.append(
        "The texts of these licences follow, each once. In the third condition of BSD-3-Clause\n"
        "each module names its own copyright holder; the modules of the Go Authors, Google Inc.\n"
    )
    for name in identifiers(found):
        file = licenses / f"{name}.txt"
        if not file.is_file():
            raise WorkshopError(f"the licence text {file} is missing: add it")
        parts.append(f"{'=' * 80}\n{name}\n{'=' * 80}\n\n{file.read_text('utf-8').strip()}\n")
    return "\n".join(parts)
