"""What a config needs, and is not set, is named; nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from litestream import commands
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from tests.support import Site


def test_a_default_value_is_none_to_litestream(site: Site) -> None:
    text = site.config.read_text().replace(str(site.replica_path), "${BACKUPS:-/backups}")
    site.config.write_text(text)
    with pytest.raises(ConfigurationError, match=r"has no default values: '\$\{BACKUPS:-"):
        commands.wal(site.database, config=site.config)


def test_a_variable_in_a_comment_is_not_needed(site: Site) -> None:
    site.back_up()
    site.config.write_text(site.config.read_text() + "# $NOT_SET\n")
    assert commands.wal(site.database, config=site.config)
