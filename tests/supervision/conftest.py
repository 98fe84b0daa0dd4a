"""What the tests of supervision share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import Site


@pytest.fixture
def sited(make_site: Callable[..., Site]) -> Site:
    site = make_site(socket=True)
    site.write(20)
    return site
