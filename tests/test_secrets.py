"""No secret in what tools show of an error: the locals of its frames."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable

import pytest

import litestream
from litestream import commands, configuration
from tests.support import Site, free_port

CANARY = "CANARY-of-a-secret"


def shown(error: BaseException) -> str:
    """Return the `repr` of the locals in our frames, as Sentry, rich and pytest show them."""
    found = []
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None:
            continue
        pending += [current.__cause__, current.__context__]
        for frame, _ in traceback.walk_tb(current.__traceback__):
            if "/tests/" not in frame.f_code.co_filename:
                found.append(repr(frame.f_locals))
    return "\n".join(found)


@pytest.mark.parametrize("given", ["literal", "variable"])
def test_no_secret_in_the_locals_of_a_failure(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    if given == "variable":
        configuration.configure(replica_access_key=CANARY)
    secret = CANARY if given == "literal" else "$LITESTREAM_SECRET_ACCESS_KEY"
    port = free_port()
    site = make_site(
        replica={
            "type": "sftp",
            "host": f"127.0.0.1:{port}",
            "user": "somebody",
            "password": secret,
            "path": "/backup",
        }
    )
    site.write(1)
    missing = site.directory / "missing.yml"
    content = json.loads(site.config.read_text())
    content["dbs"][0]["path"] = str(site.directory / "missing.db")
    missing.write_text(json.dumps(content))
    broken = site.directory / "broken.yml"
    broken.write_text(f"dbs: [{{password: {CANARY}}}\n]]")
    calls: list[Callable[[], object]] = [
        lambda: litestream.verify(site.database, timeout=0.5, config=site.config),
        lambda: litestream.verify(site.database, timeout=0.5, exact=True, config=site.config),
        lambda: litestream.sync(site.database, timeout=0.5, config=site.config),
        lambda: litestream.recover(config=missing, timeout=0.5),
        lambda: litestream.Replication(config=site.config).start(),
        lambda: litestream.Replication(broken).start(),
        lambda: commands.restore(site.database, timeout=5, config=site.config),
        lambda: commands.wal("unknown.db", config=site.config),
    ]
    for number, call in enumerate(calls):
        with pytest.raises(litestream.LitestreamError) as caught:
            call()
        text = shown(caught.value)
        at = text.find(CANARY)
        assert at < 0, (number, text[max(0, at - 300) : at + 40])
