"""Write, list, read and delete one object in a bucket: what a replica in S3 needs.

Litestream has no command that tries to write, and an SDK would be too much for five requests: they
are signed here (AWS Signature Version 4).
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import re
import secrets
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

from litestream import _settings
from litestream._check.replicas import text

if TYPE_CHECKING:
    from litestream._check.nodes import Node

_SKEW = 300.0
_NEEDED = {
    "LIST": "s3:ListBucket",
    "PUT": "s3:PutObject",
    "GET": "s3:GetObject",
    "DELETE": "s3:DeleteObject",
}


class Trouble(Exception):  # noqa: N818 - it becomes a finding
    """A step of the probe failed: the reason, and what to do."""

    def __init__(self, ident: str, message: str, hint: str, *, level: str = "error") -> None:
        super().__init__(ident, message, hint)
        self.ident, self.message, self.hint, self.level = ident, message, hint, level


class Bucket(NamedTuple):
    """A bucket, its place, and the credentials."""

    secure: bool
    host: str
    base: str
    """The path of the URL in front of an object's name."""
    prefix: str
    region: str
    key: str
    secret: str
    token: str
    verify: bool


def bucket(found: dict[str, Node]) -> Bucket | None:
    """Return the bucket of a replica, or None if this probe cannot call it.

    Other credentials than keys (a role, a profile, the machine's own) are left to Litestream.
    """
    known = _settings.environment()
    key = text(found, "access-key-id") or _either(known, "ACCESS_KEY_ID")
    secret = text(found, "secret-access-key") or _either(known, "SECRET_ACCESS_KEY")
    name, path, region = text(found, "bucket"), text(found, "path"), text(found, "region")
    endpoint = text(found, "endpoint")
    if url := text(found, "url"):
        parts = urlsplit(url)
        name, path = name or parts.netloc, path or parts.path
        if parts.query or re.search(r"[.:@]", parts.netloc):  # the URL contains an endpoint
            return None
    if not (key and secret and name) or name.startswith("arn:"):
        return None
    region = region or "us-east-1"
    style = text(found, "force-path-style")
    by_path = bool(endpoint) if not style else style.lower() in ("true", "yes", "y", "on")
    if endpoint and "://" not in endpoint:
        endpoint = f"https://{endpoint}"
    parts = urlsplit(endpoint or f"https://s3.{region}.amazonaws.com")
    host, base = parts.netloc, parts.path.rstrip("/")
    if by_path:
        base += f"/{quote(name)}"
    else:
        host = f"{name}.{host}"
    return Bucket(
        parts.scheme != "http",
        host,
        base,
        path.strip("/"),
        region,
        key,
        secret,
        known.get("AWS_SESSION_TOKEN", "") if key == known.get("AWS_ACCESS_KEY_ID") else "",
        text(found, "skip-verify").lower() not in ("true", "yes", "y", "on"),
    )


def _either(known: dict[str, str], name: str) -> str:
    return known.get(f"AWS_{name}") or known.get(f"LITESTREAM_{name}") or ""


def probe(place: Bucket, limit: float) -> str:
    """Write, list, read and delete an object of our own; return what was done.

    Its name begins with ``.litestream-check-``, beside what Litestream writes, where no restore
    looks for anything.

    Raises:
        Trouble: A request was refused, or was not answered within ``limit`` seconds.

    """
    deadline = time.monotonic() + limit
    below = f"{place.prefix}/" if place.prefix else ""
    name = f"{below}.litestream-check-{secrets.token_hex(8)}"
    content = secrets.token_bytes(16)
    query = {"list-type": "2", "max-keys": "1", "prefix": name}
    _ask(place, "LIST", "", query, b"", deadline)
    _ask(place, "PUT", name, {}, content, deadline)
    try:
        listed = _ask(place, "LIST", "", query, b"", deadline)
        if name.encode() not in listed and quote(name).encode() not in listed:
            hint = "Litestream could not find its own backups: use another service"
            raise Trouble("replica-failed", "an object that was written is not listed", hint)
        if _ask(place, "GET", name, {}, b"", deadline) != content:
            hint = "Check for a proxy between this machine and the service"
            raise Trouble("replica-failed", "an object came back with other content", hint)
    finally:
        _ask(place, "DELETE", name, {}, b"", deadline)
    return "an object was written, listed, read and deleted"


def _ask(
    place: Bucket, verb: str, name: str, query: dict[str, str], body: bytes, deadline: float
) -> bytes:
    method = "GET" if verb == "LIST" else verb
    path = f"{place.base}/{quote(name)}"
    asked = "&".join(f"{k}={quote(v, safe='')}" for k, v in sorted(query.items()))
    headers = _signed(place, method, path, asked, body)
    connection: http.client.HTTPConnection
    left = max(deadline - time.monotonic(), 0.1)
    if place.secure:
        context = ssl.create_default_context()
        if not place.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(place.host, timeout=left, context=context)
    else:
        connection = http.client.HTTPConnection(place.host, timeout=left)
    try:
        connection.request(method, f"{path}?{asked}" if asked else path, body or None, headers)
        response = connection.getresponse()
        content = response.read(1_000_000)
    except Exception as error:
        raise unreachable(error) from None
    finally:
        connection.close()
    _compare_clocks(response.getheader("Date"))
    if response.status >= 300:
        raise _refused(verb, response.status, response.getheader("x-amz-bucket-region"), content)
    return content


def _signed(place: Bucket, method: str, path: str, query: str, body: bytes) -> dict[str, str]:
    """Return the headers of a request. Source: AWS's description of Signature Version 4."""
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{now[:8]}/{place.region}/s3/aws4_request"
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": place.host, "x-amz-content-sha256": digest, "x-amz-date": now}
    if place.token:
        headers["x-amz-security-token"] = place.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{digest}"
    hashed = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{place.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashed}".encode(), "sha256")
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={place.key}/{scope}, SignedHeaders={names}, "
        f"Signature={signature.hexdigest()}"
    )
    return headers


def unreachable(error: Exception) -> Trouble:
    """Return a sentence for a request that got no answer."""
    if isinstance(error, socket.gaierror):
        hint = "Check 'endpoint:' (and 'region:', a part of the name), and this machine's DNS"
        return Trouble("replica-name", "the endpoint's name does not resolve", hint)
    if isinstance(error, TimeoutError):
        return slow()
    if isinstance(error, ConnectionRefusedError):
        hint = "Check the port of 'endpoint:', and that the service runs"
        return Trouble("replica-refused", "the endpoint refuses the connection", hint)
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "Install the authority's certificate (SSL_CERT_FILE); 'skip-verify: true' trusts all"
        why = error.verify_message or "it does not match"
        return Trouble("replica-tls", f"the endpoint's certificate is not trusted: {why}", hint)
    if isinstance(error, ssl.SSLError):
        hint = "Write http:// in 'endpoint:' if it has no TLS, or name its TLS port"
        return Trouble("replica-tls", "the endpoint does not speak TLS", hint)
    if isinstance(error, OSError):
        why = error.strerror or type(error).__name__
        hint = "Check the network between this machine and the endpoint"
        return Trouble("replica-failed", f"the endpoint cannot be reached: {why}", hint)
    hint = "Check 'endpoint:': it must be the address of an S3 service"
    return Trouble("replica-failed", "the endpoint is not an HTTP server", hint)


def slow(limit: float = 15.0) -> Trouble:
    """Return the sentence for an endpoint that does not answer in time."""
    hint = "Check the firewall and the service; Litestream itself would wait for minutes"
    return Trouble("replica-slow", f"no answer within {limit:g} s", hint)


def _refused(verb: str, status: int, region: str | None, content: bytes) -> Trouble:
    match = re.search(rb"<Code>([A-Za-z]+)</Code>", content)
    code = match[1].decode() if match else ""
    if code in ("InvalidAccessKeyId", "InvalidToken", "ExpiredToken"):
        hint = "Check LITESTREAM_ACCESS_KEY_ID, and that the key is one of this service"
        return Trouble("wrong-key", f"the service does not know the access key ({code})", hint)
    if code == "SignatureDoesNotMatch":
        hint = "Check LITESTREAM_SECRET_ACCESS_KEY: it must be complete, without a line break"
        return Trouble("wrong-key", f"the secret does not fit the access key ({code})", hint)
    if code == "NoSuchBucket" or (status == 404 and verb == "LIST"):
        hint = "Create it, or correct 'bucket:' and 'force-path-style:'"
        return Trouble("wrong-bucket", "there is no such bucket (NoSuchBucket)", hint)
    if status == 301 or code in ("PermanentRedirect", "AuthorizationHeaderMalformed"):
        found = re.search(rb"<Region>([a-z0-9-]+)</Region>", content)
        real = region or (found[1].decode() if found else "")
        hint = f"Write 'region: {real}'" if real else "Write the bucket's region"
        return Trouble("wrong-region", f"the bucket is in another region ({code or status})", hint)
    if code == "RequestTimeTooSkewed":
        return _skewed()
    if status in (401, 403):
        hint = f"Allow the key {_NEEDED[verb]} on the bucket and what is in it"
        said = f"the key may not do {_NEEDED[verb]} ({code or status})"
        return Trouble("no-permission", said, hint)
    hint = "Try again later, or ask the provider of the service"
    return Trouble("replica-failed", f"the service answers {status} {code}".rstrip(), hint)


def _compare_clocks(date: str | None) -> None:
    try:
        there = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError):
        return
    if abs(there - time.time()) > _SKEW:
        raise _skewed()


def _skewed() -> Trouble:
    hint = "Set this machine's clock (NTP): services refuse requests, and restored times are wrong"
    return Trouble("clock-skew", "this machine's clock is more than 5 minutes off", hint)
