"""Access to the dashboard, and the proof that a form comes from one of its pages."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import inspect
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from litestream.dashboard.messages import Request
from litestream.errors import ConfigurationError

Auth = Callable[[Request], bool] | tuple[str, str] | Literal["open"]

_N, _R, _P = 2**14, 8, 5
_LONGEST_PASSWORD = 1024
_HOW = (
    "auth= says who may see the dashboard: a function of a Request that returns True, a user's "
    "name and a password's hash (make one: litestream dashboard --hash), or 'open' for everybody"
)
COOKIE = "litestream_form"


def password_hash(password: str) -> str:
    """Return the hash of a password, for ``auth=(user, hash)``: scrypt with a salt of its own."""
    salt = secrets.token_bytes(16)
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(_scrypt(password, _N, _R, _P, salt))}"


def _scrypt(password: str, n: int, r: int, p: int, salt: bytes) -> bytes:
    raw = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(raw, salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Guard:
    """Decides whether a request may pass: 0, or the status of the refusal."""

    def __init__(self, auth: object) -> None:
        self._asked: Callable[[Request], int]
        self.key: bytes | None = None
        if isinstance(auth, str) and auth == "open":
            self._asked = lambda _request: 0
        elif isinstance(auth, (tuple, list)) and len(auth) == 2:
            password = _Password(*auth)
            self.key = password.key
            self._asked = password.refusal
        elif callable(auth):
            if inspect.iscoroutinefunction(auth):
                raise ConfigurationError("The function for auth= must not be asynchronous")
            self._asked = lambda request: 0 if auth(request) is True else 403
        else:  # the value is never shown: it may be a password
            raise ConfigurationError(_HOW)

    def refusal(self, request: Request) -> int:
        """Return 0, or 401, 403 or 429. Exceptions of the function for ``auth=`` are passed on."""
        return self._asked(request)


class _Password:
    """One user's password, in HTTP's Basic form; a right password is hashed only once."""

    def __init__(self, user: object, hashed: object) -> None:
        found = re.fullmatch(r"scrypt\$(\d+)\$(\d+)\$(\d+)\$([\w-]+)\$([\w-]+)", str(hashed))
        if not isinstance(user, str) or not user or ":" in user or found is None:
            raise ConfigurationError(_HOW)
        n, r, p = (int(found[number]) for number in (1, 2, 3))
        self._user = user
        self._salt, self._hash = _raw(found[4]), _raw(found[5])
        self._cost = (n, r, p)
        try:
            _scrypt("", *self._cost, self._salt)
        except (ValueError, MemoryError):
            raise ConfigurationError(_HOW) from None
        self.key = hashlib.sha256(b"litestream dashboard form" + self._hash).digest()
        self._own = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._work = threading.BoundedSemaphore(2)  # 16 MB each

    def refusal(self, request: Request) -> int:
        given = request.headers.get("authorization", "")
        scheme, _, encoded = given.partition(" ")
        if scheme.lower() != "basic" or len(encoded) > 4 * _LONGEST_PASSWORD:
            return 401
        mark = hmac.digest(self._own, encoded.encode("utf-8", "surrogatepass"), "sha256")
        if mark in self._known:
            return 0
        try:
            raw = base64.b64decode(encoded.strip(), validate=True)
            user, _, password = raw.decode().partition(":")
        except (binascii.Error, ValueError):
            return 401
        if not self._work.acquire(timeout=1.0):
            return 429
        try:
            same = hmac.compare_digest(_scrypt(password, *self._cost, self._salt), self._hash)
        finally:
            self._work.release()
        if not (hmac.compare_digest(user.encode(), self._user.encode()) & same):
            return 401
        self._known[mark] = None
        while len(self._known) > 16:
            self._known.popitem(last=False)
        return 0


class Forms:
    """Tokens for forms: a cookie, and in the form a value that only this key makes of it."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def cookie(self, request: Request) -> tuple[str, str | None]:
        """Return the cookie of a request and None, or a new one and the header that sets it."""
        for value in request.cookies(COOKIE):
            if re.fullmatch(r"[\w-]{43}", value):
                return value, None
        value = secrets.token_urlsafe(32)
        secure = "; Secure" if request.is_secure else ""
        return value, f"{COOKIE}={value}; HttpOnly; SameSite=Strict{secure}"

    def token(self, cookie: str) -> str:
        """Return the token for a cookie."""
        return hmac.new(self._key, cookie.encode(), "sha256").hexdigest()

    def is_ours(self, request: Request) -> bool:
        """Tell whether a posted form comes from a page of this dashboard."""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        given = request.field("token").encode()
        return any(
            hmac.compare_digest(self.token(cookie).encode(), given)
            for cookie in request.cookies(COOKIE)
        )
