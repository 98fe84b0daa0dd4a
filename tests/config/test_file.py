"""The text of a config, read as the executable reads it."""

from __future__ import annotations

import pytest

from litestream import ConfigurationError
from litestream._config import file as config_file


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("a $NAME b", "a value b"),
        ("${NAME}/x", "value/x"),
        ("$MISSING|", "|"),
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
    with pytest.raises(ConfigurationError, match="no mapping"):
        config_file.parse("- a list", "litestream.yml")
    assert config_file.parse("", "litestream.yml") == {}
