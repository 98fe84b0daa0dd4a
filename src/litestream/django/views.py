"""The dashboard as a view: for staff, unless the setting names others."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt

from litestream.dashboard.messages import LONGEST_BODY, Request
from litestream.dashboard.views import Dashboard
from litestream.django import _settings
from litestream.errors import LitestreamError

if TYPE_CHECKING:
    from django.http import HttpRequest

_log = logging.getLogger("litestream.dashboard")
_lock = threading.Lock()
_made: tuple[Any, Dashboard] | None = None


@csrf_exempt  # the pages send no Referer, and their forms have tokens of their own
def dashboard(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Answer a request to the dashboard."""
    path = "/" + rest.removeprefix("/")
    if not rest and not request.path.endswith("/"):
        path = ""
    try:
        body = request.body[:LONGEST_BODY]
    except RequestDataTooBig:
        body = b""
    asked = Request(
        method=request.method or "",
        path=path,
        query=request.META.get("QUERY_STRING", ""),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        prefix="" if path else request.path,
        is_secure=request.is_secure(),
        native=request,
    )
    try:
        answer = _dashboard().answer(asked)
    except LitestreamError as error:  # the system checks say more
        _log.error("The dashboard cannot be made: %s", error)
        return HttpResponse(status=500)
    return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))


def _dashboard() -> Dashboard:
    """Return the dashboard of the settings: one in each process, made for the first request."""
    global _made
    setting = getattr(settings, "LITESTREAM", None)
    with _lock:
        if _made is None or _made[0] is not setting:
            page = _settings.dashboard()
            made = Dashboard(
                page.get("AUTH", _is_staff),
                _settings.config(),
                page.get("ACTIONS", ()),
                page.get("DIRECTORY"),
                settings.SECRET_KEY,
            )
            if _made is not None:
                _made[1].close()
            _made = setting, made
        return _made[1]


def _is_staff(request: Request) -> bool:
    user = getattr(request.native, "user", None)
    return bool(user is not None and user.is_active and user.is_staff)
