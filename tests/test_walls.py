"""The walls of the house: which room may import which."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import litestream

HOUSE = Path(litestream.__file__).parent
DOORS = (
    *("commands", "configuration", "introspection", "metrics", "monitoring", "recovery"),
    *("replication", "verification", "__init__"),
)
ADAPTERS = ("django", "flask", "gunicorn", "sqlalchemy", "starlette", "testing")
HANDED_ON = {
    ("_cli", "dashboard"),
}
"""What the command hands on, inside its functions."""
FLOORS = (
    ("errors",),
    ("rows",),
    ("_settings",),
    ("_database",),
    ("_config",),
    ("_executable",),
    ("_restore",),
    ("_control_socket",),
    ("_durability", "_supervision"),
    ("_health",),
    ("_check",),
    ("_verification", "_replication"),
    ("_setup",),
    DOORS,
    ("_cli",),
    ("cli",),
    ("_adapters",),
    ("asgi", "dashboard"),
    ADAPTERS,
    ("__main__",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
KEEPER = (
    "errors",
    "_database",
    "_executable.log_lines",
    "_executable.messages",
    "_config.runtime_directory",
    "_control_socket.nonblocking",
    "_supervision",
)
FILES = sorted(path.relative_to(HOUSE) for path in HOUSE.rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """Yield the modules that a file imports, those of this package without its name."""
    tree = ast.parse((HOUSE / file).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "litestream":
            yield from (name.name if name.name in FLOOR else "__init__" for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = node.module.removeprefix("litestream.")
            names = [f"{inner}.{name.name}" for name in node.names]
            is_room = inner != node.module and (HOUSE / inner.replace(".", "/")).is_dir()
            yield from names if is_room else [inner]


def _room(file: Path) -> str:
    return file.parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_point_to_lower_floors(file: Path) -> None:
    room = _room(file)
    for name in imported(file):
        other = name.split(".")[0]
        if other in FLOOR and other != room:
            are_doors = room in DOORS and other in DOORS
            assert are_doors or (room, other) in HANDED_ON or FLOOR[other] < FLOOR[room], (
                f"{file} imports {name}"
            )


@pytest.mark.parametrize("file", [f for f in FILES if _room(f) in ADAPTERS], ids=str)
def test_an_adapter_imports_public_doors_alone(file: Path) -> None:
    for name in imported(file):
        other = name.split(".")[0]
        private = {room for room in FLOOR if room.startswith("_")} - {"__init__", "_adapters"}
        assert other not in private, f"{file} imports {name}"


def test_no_module_imports_itself_by_way_of_others() -> None:
    beside = (*ADAPTERS, *(other for _, other in HANDED_ON))
    own = [file for file in FILES if _room(file) not in beside]
    names = {".".join(file.with_suffix("").parts): file for file in own}
    imports = {
        name: {other for other in imported(file) if other in names} for name, file in names.items()
    }
    while leaves := {name for name, others in imports.items() if not others}:
        imports = {name: others - leaves for name, others in imports.items() if others}
    assert imports == {}


@pytest.mark.parametrize("file", [f for f in FILES if f.parts[0] == "_supervision"], ids=str)
def test_the_keeper_needs_the_standard_library_and_light_rooms_alone(file: Path) -> None:
    for name in imported(file):
        assert name.split(".")[0] not in FLOOR or name.startswith(KEEPER), f"{file} imports {name}"
        assert name.split(".")[0] not in ("yaml", "typing_extensions", "psutil", "rich")
