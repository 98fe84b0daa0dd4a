"""The config: settings, where it is, what is wrong with it, and a first one."""

from __future__ import annotations

from litestream._settings import VARIABLES as VARIABLES
from litestream._settings import configure, find_config
from litestream._settings import environment as environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from litestream._check.findings import findings as check
    from litestream._config.config import ConfigArgument
    from litestream._setup.create import config_text as create

__all__ = [
    "ConfigArgument",
    "check",
    "configure",
    "create",
    "find_config",
]

_ROOMS = {
    "ConfigArgument": ("_config.config", "ConfigArgument"),
    "check": ("_check.findings", "findings"),
    "create": ("_setup.create", "config_text"),
}
"""Names that are loaded at their first use: yaml costs more than this whole module."""


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module, function = _ROOMS[name]
    return getattr(importlib.import_module(f"litestream.{module}"), function)
