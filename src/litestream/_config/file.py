"""The text of a config: read, expand and parse it, or write one of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestream import _settings
from litestream.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


_REFERENCE = r"\$(?:\{(?P<braced>[^}]*)\}|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|[*#$@!?\-0-9])"
"""A variable in a config's text, or another ``$`` that Litestream takes out."""


def read(path: str, *, literal: bool = False) -> dict[str, Any]:
    """Return the config's content as Litestream sees it; ``literal`` as with ``-no-expand-env``.

    Raises:
        ConfigurationError: The file cannot be read, or is not a mapping in YAML.

    """
    written = text(path)
    found = written if literal else expand(written)
    return parse(found, path, expanded=found != written)


def text(path: str) -> str:
    """Return the config's text as it is written; bytes that are not UTF-8 are surrogates.

    Raises:
        ConfigurationError: The file cannot be read.

    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return _settings.Text(file.read())
    except OSError as error:
        raise ConfigurationError(f"The config {path!r} cannot be read: {error.strerror}") from error


def expand(text: str, *, mark: str = "") -> str:
    """Replace ``$NAME`` and ``${NAME}`` in a config's text as Litestream does before it reads it.

    Source: Go's ``os.Expand``, which both series call on the whole file: an unknown name becomes
    nothing, ``$$`` and the like vanish, there is no escape. With a ``mark``, an unknown name stays
    between two marks.
    """
    import re

    if "$" not in text:
        return _settings.Text(text)
    known = _settings.environment()

    def value(found: re.Match[str]) -> str:
        name = found["braced"] or found["name"] or ""
        return known.get(name, f"{mark}{name}{mark}" if mark and name else "")

    return _settings.Text(re.sub(_REFERENCE, value, text))


def place_of(text: str, *keys: str) -> tuple[int, int] | None:
    """Return where the value of a key stands in a config's text, variables not expanded.

    ``keys`` lead to the value, which is a scalar. None if they do not lead to one in this text,
    such as where a variable has the mapping.
    """
    import re

    import yaml

    unread = re.sub(_REFERENCE, lambda found: "x" * len(found[0]), text)  # braces are YAML's, too
    try:
        node = yaml.compose(unread, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return None
    for key in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in pairs if name.value == key), None)
    if not isinstance(node, yaml.ScalarNode):
        return None
    return node.start_mark.index, node.end_mark.index


def refers_to_unset(text: str) -> bool:
    """Tell whether a variable in a config's text, wherever it stands, is not set."""
    return "$" in text and expand(text, mark="\0") != expand(text)


def parse(text: str, origin: str, *, expanded: bool = False) -> dict[str, Any]:
    """Return the content of a config's text; errors name its ``origin``.

    ``expanded``: variables were replaced in the text, and their values may be the fault.

    Raises:
        ConfigurationError: The text is not a mapping in YAML.

    """
    import yaml

    problem, content = "", None
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # six times as fast
        content = yaml.load(str(text), loader)  # noqa: S506 - both are safe
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = f"is not YAML: {where}{yaml_problem(error.problem or '')}"
    except (yaml.YAMLError, UnicodeEncodeError):
        problem = "is not YAML: it contains a character that YAML does not allow"
    except RecursionError:
        problem = "is nested too deeply"
    if expanded and problem:
        problem += " (the values of its variables stand in it by then)"
    if problem:  # raised here, without the frames of PyYAML, whose variables hold the text's values
        raise ConfigurationError(f"The config {origin!r} {problem}")
    if content is None:
        return {}
    if _holds_itself(content):
        raise ConfigurationError(
            f"The config {origin!r} has an alias (*) that contains itself: write the values out"
        )
    if not isinstance(content, dict):
        raise ConfigurationError(
            f"The config {origin!r} is not a mapping: begin it with a 'dbs:' list"
        )
    return _settings.Content(_concealed(content))


def as_yaml(content: Mapping[str, Any], *, expanded: bool = True) -> str:
    """Write JSON, which is YAML; without escapes, because YAML has no surrogate pairs.

    A ``$`` is escaped even if no variable is meant: a reader may expand the text all the same.
    """
    import json

    text = json.dumps(content, indent=2, ensure_ascii=False)
    return _settings.Text((text.replace("$", r"\u0024") if expanded else text) + "\n")


_YAML_PROBLEMS = (
    ("mapping values are not allowed", "a ': ' stands where none can; quote the value, or indent"),
    ("cannot start any token", "a value begins with @, `, % or a tab; quote it, indent by spaces"),
    ("undefined alias", "a value begins with *; quote it"),
    ("unexpected end of stream", "a quotation mark is not closed"),
    ("expected ',' or", "a bracket or a brace is not closed, or a comma is missing"),
    ("did not find expected", "the line is not indented like those that it belongs to"),
    ("expected <block end>", "the line is not indented like those that it belongs to"),
)


def yaml_problem(said: str) -> str:
    """Return PyYAML's sentence in plain words, without quoted text, which may be a secret."""
    known = (words for part, words in _YAML_PROBLEMS if part in said)
    return next(known, said.split("'")[0].strip() or "it breaks off")


def _concealed(value: Any) -> Any:
    if isinstance(value, dict):
        return _settings.Content({key: _concealed(inner) for key, inner in value.items()})
    return [_concealed(inner) for inner in value] if isinstance(value, list) else value


def _holds_itself(value: object, above: tuple[int, ...] = ()) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    values = value.values() if isinstance(value, dict) else value
    inside = (*above, id(value))
    return id(value) in above or any(_holds_itself(inner, inside) for inner in values)
