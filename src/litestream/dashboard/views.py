"""The dashboard: from a request to a response."""

from __future__ import annotations

import logging
import secrets
import socket
import time
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from litestream._health.history import newest_first
from litestream._health.look import WORST_FIRST
from litestream.dashboard import plots, words
from litestream.dashboard.auth import Forms, Guard
from litestream.dashboard.jobs import ACTIONS, LISTING, Jobs
from litestream.dashboard.messages import Response
from litestream.dashboard.render import STATIC, Pages, static
from litestream.dashboard.store import RANGES, Store
from litestream.dashboard.watch import Watch

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from litestream._config.config import ConfigArgument
    from litestream.dashboard.messages import Request
    from litestream.dashboard.watch import Look
    from litestream.rows import HealthRow, HistoryRow

_ROWS = 50
_STRIP = 7
_PROOFS = 30
_WHY = {
    400: "The request is not valid.",
    401: "Sign in.",
    403: "You may not see this.",
    404: "There is no such page.",
    405: "This address does not take that method.",
    429: "Too many people are signing in at once. Try again in a minute.",
    500: "An internal error. See the server's log.",
    503: "Too many jobs are waiting already. Try again in a minute.",
}

_log = logging.getLogger("litestream.dashboard")


class Dashboard:
    """Answers requests; `auth` and the rest are those of `litestream.dashboard.wsgi`."""

    def __init__(
        self,
        auth: object,
        config: ConfigArgument = None,
        actions: Iterable[str] = (),
        directory: str | os.PathLike[str] | None = None,
        secret: str | bytes | None = None,
        thresholds: Mapping[str, Any] | None = None,
    ) -> None:
        self._guard = Guard(auth)
        self._thresholds = dict(thresholds or {})
        store = self._store = Store(directory)
        self._watch = Watch(config, store, self._thresholds)
        self._jobs = Jobs(config, store, actions, self._watch.masked)
        self._pages = Pages(self._watch.masked)
        given = secret.encode() if isinstance(secret, str) else secret
        self._forms = Forms(given or self._guard.key or secrets.token_bytes(32))

    def close(self) -> None:
        """Stop looking at the databases."""
        self._watch.close()

    def answer(self, request: Request) -> Response:
        """Return the response, without a call of a replica and without waiting."""
        try:
            refused = self._guard.refusal(request)
            if refused:
                return self._refusal(refused)
            return self._answer(request)
        except Exception:
            _log.exception("The dashboard failed at %s", request.method)
            return self._refusal(500)

    def _answer(self, request: Request) -> Response:
        parts = request.path.split("/")[1:]
        if not request.path:  # mounted without a slash, which the page's links need
            last = request.prefix.rstrip("/").rpartition("/")[2]
            return _redirect(f"{quote(last, safe='')}/" if last else "/", 308)
        if request.path == "/" or request.path[1:] in STATIC or parts[0] == "database":
            is_post = parts[0] == "database" and len(parts) == 3
            allowed = ("POST",) if is_post else ("GET", "HEAD")
            if request.method not in allowed:
                return self._error(405, request, more=(("Allow", ", ".join(allowed)),))
            if request.path == "/":
                return self._overview(request)
            if request.path[1:] in STATIC:
                name = request.path[1:]
                return Response(200, static(name), STATIC[name])
            if len(parts) == 2:
                return self._database(request, parts[1])
            if is_post:
                return self._act(request, parts[1], parts[2])
        return self._error(404, request)

    def _overview(self, request: Request) -> Response:
        look = self._watch.look()
        if look is None:
            return Response(200, self._pages.page("wait", root=""))
        sought, chosen = request.argument("q")[:200].strip(), request.argument("verdict")
        rows = [
            (id, row)
            for id, row in look.rows.items()  # noqa: A001
            if sought.casefold() in row["database"].casefold()
            and (chosen not in WORST_FIRST or row["verdict"] == chosen)
        ]
        last = max(1, -(-len(rows) // _ROWS))
        number = _number(request.argument("page"), last)
        listed = [
            {
                **_described(id, row),
                "strip": self._strip(row["database"]),
                "backups": self._store.read(row["database"], "backups"),
            }
            for id, row in rows[(number - 1) * _ROWS : number * _ROWS]  # noqa: A001
        ]
        verdict, sentence = words.answer(look)
        kept = {"q": sought, "verdict": chosen if chosen in WORST_FIRST else ""}

        def link(**changed: object) -> str:
            query = {name: value for name, value in {**kept, **changed}.items() if value}
            return "?" + urlencode(query, errors="replace")

        return self._page(
            "overview",
            look,
            "",
            verdict=verdict,
            sentence=sentence,
            trouble=look.trouble,
            verdict_chosen=kept["verdict"],
            q=sought,
            counts=[("", len(look.rows), link(verdict=""))]
            + [(one, many, link(verdict=one)) for one, many in look.counts.items()],
            rows=listed,
            matches=len(rows),
            number=number,
            last=last,
            earlier=link(page=number - 1) if number > 1 else "",
            later=link(page=number + 1) if number < last else "",
        )

    def _strip(self, database: str) -> list[HistoryRow]:
        """Return the last proofs, oldest first."""
        try:
            return list(islice(newest_first(database), _STRIP))[::-1]
        except OSError:
            return []

    def _database(self, request: Request, id: str) -> Response:  # noqa: A002
        look, now = self._watch.look(), time.time()
        if look is None:
            return Response(200, self._pages.page("wait", root="../"))
        row = look.rows.get(id)
        if row is None:
            return self._error(404, request)
        span = request.argument("range")
        span = span if span in RANGES else "24h"
        unreadable = ""
        proofs: list[HistoryRow] = []
        try:
            proofs = list(newest_first(row["database"]))
        except OSError as error:
            unreadable = f"The history of proofs cannot be read: {error.strerror}."
        cookie, header = self._forms.cookie(request)
        page = self._page(
            "database",
            look,
            "../",
            **_described(id, row),
            spans=[(one, f"?range={one}", one == span) for one in RANGES],
            plots=plots.of_samples(
                self._store.samples(row["database"], span, now),
                proofs[::-1],
                span,
                now,
                float(self._thresholds.get("max_behind", 60.0)),
            ),
            proofs=proofs[:_PROOFS],
            proof_count=len(proofs),
            unreadable=unreadable,
            backups=self._store.read(row["database"], "backups"),
            listing=self._jobs.state(LISTING, row["database"]),
            jobs=[(one, self._jobs.state(one, row["database"])) for one in self._jobs.actions],
            token=self._forms.token(cookie),
        )
        more = () if header is None else (("Set-Cookie", header),)
        return Response(page.status, page.body, more=more)

    def _act(self, request: Request, id: str, kind: str) -> Response:  # noqa: A002
        if kind not in (LISTING, *ACTIONS):
            return self._error(404, request)
        if not self._forms.is_ours(request):
            return self._error(
                403, request, "The form is too old, or from another site. Go back and reload."
            )
        if kind not in (LISTING, *self._jobs.actions):
            return self._error(403, request, f"This dashboard does not offer the action {kind}.")
        look = self._watch.look()
        row = look.rows.get(id) if look else None
        if row is None:
            return self._error(404, request)
        if not self._jobs.start(kind, row["database"]):
            return self._error(503, request)
        anchor = "backups" if kind == LISTING else "actions"
        return _redirect(f"../{quote(id)}#{anchor}", 303)

    def _page(self, template: str, look: Look, root: str, /, **content: Any) -> Response:
        body = self._pages.page(
            template,
            root=root,
            host=socket.gethostname(),
            seen=look.at,
            seen_age=max(0.0, time.time() - look.at),
            **content,
        )
        return Response(200, body)

    def _error(
        self,
        status: int,
        request: Request,
        why: str = "",
        more: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        root = "../" * (min(request.path.count("/"), 50) - 1)
        body = self._pages.page("error", root=root, status=status, why=why or _WHY[status])
        return Response(status, body, more=more)

    def _refusal(self, status: int) -> Response:
        """Return a page without facts and styles, for those who may not see the dashboard."""
        more: tuple[tuple[str, str], ...] = ()
        if status == 401:
            more = (("WWW-Authenticate", 'Basic realm="litestream", charset="UTF-8"'),)
        return Response(
            status, self._pages.page("refusal", status=status, why=_WHY[status]), more=more
        )


def _described(id: str, row: HealthRow) -> dict[str, Any]:  # noqa: A002
    folder, slash, name = row["database"].rpartition("/")
    return {"id": id, "row": row, "name": name or row["database"], "folder": folder + slash}


def _redirect(where: str, status: int) -> Response:
    """Redirect to a relative address, which depends on no Host header and no prefix."""
    return Response(status, b"", more=(("Location", where),))


def _number(text: str, last: int) -> int:
    return (
        min(max(int(text), 1), last) if text.isascii() and text.isdigit() and len(text) < 9 else 1
    )
