"""The text of a config, read as the executable reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from litestream import ConfigurationError
from litestream._config import file as config_file


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("a $NAME b", "a value b"),
        ("${NAME}/x", "value/x"),
        ("$MISSING|", "|"),
        ("$NAMEé/${NAME}é", "valueé/valueé"),
        ("p$$q$-r$1s", "pqrs"),
        ("${NAME:-default}", ""),
        ("no reference", "no reference"),
    ],
)
def test_references_are_expanded_as_go_does(
    text: str, expanded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAME", "value")
    assert config_file.expand(text) == expanded


def test_a_config_that_is_no_mapping() -> None:
    with pytest.raises(ConfigurationError, match="not a mapping"):
        config_file.parse("- a list", "litestream.yml")
    assert config_file.parse("", "litestream.yml") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dbs:\n\t- path: a.db\n", "line 2, column 1: a value begins with @, `, % or a tab"),
        ("dbs:\n- path: a: b\n", "line 2, column 10: a ': ' stands where none can"),
        ("dbs:\n- path: @a\n", "line 2, column 9: a value begins with @"),
        ("dbs:\n- path: *a\n", "line 2, column 9: a value begins with \\*"),
        ('dbs:\n- path: "a\n', "a quotation mark is not closed"),
        ("dbs: [{path: a.db}\n", "a bracket or a brace is not closed"),
        ("dbs:\n  - path: a\n - path: b\n", "line 3, column 2: the line is not indented like"),
    ],
)
@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_what_is_no_yaml_is_said_in_words(
    text: str, said: str, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if loader == "SafeLoader":  # PyYAML without libyaml
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    with pytest.raises(ConfigurationError, match=f"is not YAML: .*{said}") as caught:
        config_file.parse(text, "litestream.yml")
    assert "variables" not in str(caught.value)


def test_a_value_of_a_variable_may_be_what_is_no_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "litestream.yml"
    path.write_text("dbs:\n- path: $NAME\n")
    monkeypatch.setenv("NAME", "@a")
    with pytest.raises(ConfigurationError, match="values of its variables"):
        config_file.read(str(path))
