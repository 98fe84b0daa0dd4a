"""The public names: sorted, loaded lazily, documented, typed."""

from __future__ import annotations

import importlib
import inspect
import pickle
import subprocess
import sys

import pytest

import litestream
from litestream import commands

HEAVY = {"yaml", "sqlite3", "subprocess", "dataclasses", "re", "json", "typing", "pathlib", "http"}


def test_all_is_sorted_and_complete():
    assert sorted(litestream.__all__) == list(litestream.__all__)
    assert litestream.__all__ == dir(litestream)
    for name in litestream.__all__:
        assert getattr(litestream, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'restoer'"):
        _ = litestream.restoer  # type: ignore[attr-defined]


def test_importing_the_package_imports_nothing_heavy():
    assert not HEAVY & imported_by("import litestream")


def test_the_hand_through_imports_nothing_heavy():
    assert not HEAVY & imported_by("import litestream.cli")


def imported_by(statement: str) -> set[str]:
    """Return the top-level modules that a statement brings in."""
    script = (
        f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_version_is_the_distributions():
    from importlib.metadata import version

    assert version("litestream") == litestream.__version__


SECOND = {"register": ["replica_url"], "restore": ["output"]}
"""What may be given by its place, behind the database."""


@pytest.mark.parametrize("name", commands.__all__)
def test_every_command_is_documented_and_keyword_only(name):
    command = getattr(commands, name)
    first = (inspect.getdoc(command) or "").splitlines()[0]
    assert first.endswith((".", ":"))
    parameters = inspect.signature(command).parameters.values()
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    positional = [parameter.name for parameter in parameters if parameter.kind is kind]
    expected = ["database"] if "database" in inspect.signature(command).parameters else []
    assert expected + SECOND.get(name, []) == positional


def test_the_commands_are_those_that_all_names():
    assert sorted(commands.__all__) == list(commands.__all__)


DOORS = ["", ".commands", ".configuration", ".errors", ".introspection", ".recovery"]
DOORS += [".dashboard", ".metrics", ".monitoring", ".replication", ".rows", ".verification"]


@pytest.mark.parametrize("door", DOORS)
def test_a_pickle_or_a_traceback_names_public_places_alone(door):
    module = importlib.import_module(f"litestream{door}")
    for name in module.__all__:
        public = getattr(module, name)
        assert "._" not in getattr(public, "__module__", ""), name
        if isinstance(public, type) or callable(public):
            assert pickle.loads(pickle.dumps(public)) is public
