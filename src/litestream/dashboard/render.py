"""Templates: every text is escaped, its invisible characters shown, and secrets taken out."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from litestream.dashboard import words
from litestream.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

STATIC = {"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}


class Pages:
    """The pages' templates."""

    def __init__(self, masked: Callable[[str], str]) -> None:
        try:
            import jinja2
        except ImportError:
            raise MissingExtraError(
                "The dashboard's pages are made with Jinja2: pip install 'litestream[dashboard]'"
            ) from None

        def final(value: Any) -> Any:
            if isinstance(value, str) and not hasattr(value, "__html__"):
                return words.shown(masked(value))
            return value

        self._environment = jinja2.Environment(
            autoescape=True,
            finalize=final,
            loader=jinja2.FunctionLoader(_read),
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        # Cut before it is masked, a secret would be shown in part.
        filters = self._environment.filters
        filters["short"] = lambda text, most=80: words.shortened(final(text), most)
        filters["ago_or_now"] = lambda age: words.ago(max(0.0, age))
        filters |= {
            name: getattr(words, name)
            for name in ("ago", "count", "moment", "plain", "size", "span", "stamp")
        }
        self._environment.globals["glyphs"] = words.GLYPHS

    def page(self, template: str, /, **content: Any) -> bytes:
        """Return a page."""
        return self._environment.get_template(f"{template}.html").render(content).encode()


def static(name: str) -> bytes:
    """Return a file that is served as it is."""
    return _read(name).encode()


def _read(name: str) -> str:
    return files("litestream.dashboard").joinpath(f"templates/{name}").read_text("utf-8")
