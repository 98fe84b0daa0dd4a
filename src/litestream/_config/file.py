"""A config file: read its text, expand it, parse it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestream import configuration
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from typing import Any


def read(path: str, *, literal: bool = False) -> dict[str, Any]:
    """Return the config's content as Litestream sees it; ``literal`` as with ``-no-expand-env``.

    Raises:
        ConfigurationError: it cannot be read, is no YAML, or is no mapping.

    """
    found = text(path)
    return parse(found if literal else expand(found), path)


def text(path: str) -> str:
    """Return the config's text as it is written; bytes that are no UTF-8 stand as surrogates.

    Raises:
        ConfigurationError: it cannot be read.

    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return configuration.Text(file.read())
    except OSError as error:
        raise ConfigurationError(f"The config {path!r} cannot be read: {error.strerror}") from error


def expand(text: str) -> str:
    """Replace ``$NAME`` and ``${NAME}`` in a config's text as Litestream does before it reads it.

    Source: Go's ``os.Expand``, which both series call on the whole file: an unknown name becomes
    nothing, ``$$`` and the like vanish, there is no escape.
    """
    import re

    reference = r"\$(?:\{(?P<braced>[^}]*)\}|(?P<name>[A-Za-z_]\w*)|[*#$@!?\-0-9])"
    known = configuration.environment()
    return configuration.Text(
        re.sub(reference, lambda m: known.get(m["braced"] or m["name"] or "", ""), text)
    )


def parse(text: str, origin: str) -> dict[str, Any]:
    """Return the content of a config's text; errors name its ``origin``.

    Raises:
        ConfigurationError: it is no YAML, or no mapping.

    """
    import yaml

    problem, content = "", None
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # six times as fast
        content = yaml.load(str(text), loader)  # noqa: S506 - both are safe
    except yaml.MarkedYAMLError as error:
        # PyYAML's own message shows the line, and any secret in it
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        said = (error.problem or "").split("'")[0].strip()
        problem = f"is no YAML: {said}{where}, its references replaced"
    except (yaml.YAMLError, UnicodeEncodeError):
        problem = "is no YAML: it holds a character that YAML does not allow"
    except RecursionError:
        problem = "is nested too deeply"
    if problem:  # raised here, without PyYAML's frames, whose local variables hold the values
        raise ConfigurationError(f"The config {origin!r} {problem}")
    if content is None:
        return {}
    if _holds_itself(content):
        raise ConfigurationError(f"The config {origin!r} has an alias (*) that holds itself")
    if not isinstance(content, dict):
        raise ConfigurationError(f"The config {origin!r} is no mapping; it needs a 'dbs:' list")
    return configuration.Content(_concealed(content))


def _concealed(value: Any) -> Any:
    if isinstance(value, dict):
        return configuration.Content({key: _concealed(inner) for key, inner in value.items()})
    return [_concealed(inner) for inner in value] if isinstance(value, list) else value


def _holds_itself(value: object, above: tuple[int, ...] = ()) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    values = value.values() if isinstance(value, dict) else value
    inside = (*above, id(value))
    return id(value) in above or any(_holds_itself(inner, inside) for inner in values)
