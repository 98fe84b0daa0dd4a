"""The pages in a real browser, under a host's strict policy: light, dark, and 320 pixels wide."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from litestream import monitoring
from litestream.dashboard import words
from litestream.dashboard.alone import _Handler, _Server
from litestream.dashboard.over_wsgi import Wsgi
from litestream.dashboard.store import id_of
from litestream.dashboard.views import Dashboard
from tests.dashboard import chromium
from tests.dashboard.chromium import Chromium
from tests.dashboard.pages import proof, row
from tests.dashboard.test_views import NAMES

POLICY = (
    "default-src 'self'; script-src 'nonce-of-the-host'; style-src 'self'; object-src 'none'; "
    "require-trusted-types-for 'script'"
)
ONE = "/srv/shop.db"
PAGES = {
    "overview": "/",
    "a page of many": "/?verdict=ok&page=2",
    "nothing found": "/?q=nothing+like+it",
    "one database": f"/database/{id_of(ONE)}",
    "thirty days": f"/database/{id_of(ONE)}?range=30d",
    "a hostile name": f"/database/{id_of(NAMES['markup'])}",
    "a long name": f"/database/{id_of(NAMES['4 kB'])}",
    "no such page": "/no/such/page",
    "refused": "/?refused",
}
VIEWS = {"light": (1280, "light"), "dark": (1280, "dark"), "phone": (320, "light")}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    executable = chromium.found()
    if executable is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    opened = Chromium(executable, tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    source = chromium.axe(tmp_path_factory.mktemp("axe"))
    if source is None:
        pytest.skip(f"npm has no {chromium.AXE}: install npm, or go online")
    return source


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a dashboard with something of everything under a prefix of a strict host."""
    directory, now = tmp_path_factory.mktemp("served"), time.time()
    (directory / "litestream.yml").write_text("dbs: []")
    rows = [row(ONE, "failing", reason="Nothing has reached the replica", behind=400.0)]
    rows += [row("/srv/a.db", "degraded"), row("/srv/b.db", "unknown", behind=None, size=None)]
    rows += [row(name) for name in NAMES.values()]
    rows += [row(f"/srv/tenants/{number}.db") for number in range(60)]
    proofs = [proof(ONE, words.stamp(now - hours * 3600)) for hours in range(1, 40)]
    failed: Any = {"proved": False, "reason": "stale", "message": "<b>" * 80}
    proofs[2] = proof(ONE, words.stamp(now - 3 * 3600), **failed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitoring, "health", lambda **_: monitoring.Health(rows))
        patch.setattr("litestream.dashboard.views.newest_first", lambda _: iter(proofs))
        dashboard = Dashboard(
            lambda request: request.query != "refused",
            directory / "litestream.yml",
            ["verify", "restore"],
            directory / "kept",
        )
        _fill(dashboard, now)
        server = _Server(("127.0.0.1", 0), _Handler)
        server.set_app(_strict(Wsgi(dashboard)))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/host/of it"
        server.shutdown()
        thread.join()
        server.server_close()
        dashboard.close()


def _fill(dashboard: Dashboard, now: float) -> None:
    store = dashboard._store
    for minutes in range(2880, 0, -5):
        if not 300 < minutes < 500:
            one = row(ONE, behind=minutes % 70, size=10**7 + minutes, wal_size=10**6)
            store.sample([one], now - minutes * 60)
    at = "2026-11-25T03:15:00Z"
    snapshot = {"replica": "s3", "generation": "ltx", "index": 7, "size": 10**6, "created": at}
    generation = {"name": "s3", "generation": "ltx", "lag": "1s", "start": at, "end": at}
    listed = {"kind": "LTX level", "files": [["level 0", 9, 10**5, at, at]], "at": now - 99.0}
    listed |= {"snapshots": [snapshot], "snapshot_count": 1}
    listed |= {"generations": [generation], "generation_count": 1}
    for name in (ONE, NAMES["markup"]):
        store.write(name, "backups", listed)
    store.write(ONE, "verify", {"state": "failed", "at": now, "message": "x" * 400})
    store.write(ONE, "refresh", {"state": "failed", "at": now, "message": "It did not answer"})


def _strict(application: Wsgi) -> Callable[..., Iterable[bytes]]:
    """Mount an application, and add the host's own policy to each response."""

    def host(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]]) -> Any:
            return start_response(status, [*headers, ("Content-Security-Policy", POLICY)])

        prefix, path = "/host/of it", environ["PATH_INFO"]
        if not path.startswith(prefix):  # Chromium asks for an icon where a page names none
            start_response("204 No Content", [])
            return []
        return application(
            {**environ, "SCRIPT_NAME": prefix, "PATH_INFO": path[len(prefix) :]}, start
        )

    return host


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("page", PAGES)
def test_nothing_on_the_console_and_nothing_wide(
    browser: Chromium, address: str, page: str, view: str
) -> None:
    width, scheme = VIEWS[view]
    said = browser.go(address + PAGES[page], width, scheme)
    if page in ("no such page", "refused"):
        said = [one for one in said if "Failed to load resource" not in one]  # its own status
    assert [] == said
    assert browser.run("document.documentElement.scrollWidth") <= width
    if page != "refused":
        sheets = "[...document.styleSheets].map(sheet => sheet.cssRules.length > 50)"
        assert [True] == browser.run(sheets)
        colour = browser.run("getComputedStyle(document.body).backgroundColor")
        assert {"light": "rgb(251, 250, 247)", "dark": "rgb(22, 21, 19)"}[scheme] == colour


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing(browser: Chromium, axe: str, address: str, page: str, view: str) -> None:
    browser.go(address + PAGES[page], *VIEWS[view])
    browser.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    browser.run(f"{axe}; 0")
    found = browser.run(
        "axe.run().then(found => found.violations.map(one => "
        "[one.id, one.nodes.slice(0, 3).map(node => node.html + ' ' + node.failureSummary)]))"
    )
    assert [] == found


def test_the_keyboard_reaches_everything(browser: Chromium, address: str) -> None:
    browser.go(address + PAGES["one database"], *VIEWS["light"])
    wanted = "a, button, input:not([type=hidden]), summary, [tabindex='0']"
    browser.run(
        f"[...document.querySelectorAll(`{wanted}`)].filter(one => one.checkVisibility())"
        ".forEach((one, number) => one.dataset.number = number)"
    )
    count = browser.run("document.querySelectorAll('[data-number]').length")
    reached = []
    for _ in range(count):
        browser.tab()
        reached.append(browser.run("document.activeElement.dataset.number"))
        shown = "getComputedStyle(document.activeElement).outlineStyle"
        assert "none" != browser.run(shown), reached
    assert [str(number) for number in range(count)] == reached
    assert count > 10


def test_a_button_is_pressed_by_enter(browser: Chromium, address: str) -> None:
    """The form's token, its cookie and the redirect work as a browser takes them."""
    browser.go(address + PAGES["a hostile name"], *VIEWS["phone"])
    browser.run("document.querySelector(`form[action$='/refresh'] button`).focus()")
    assert [] == browser.enter()
    assert "#backups" == browser.run("location.hash")
    assert browser.run("document.title").startswith("ok: ")
    assert f"/host/of%20it/database/{id_of(NAMES['markup'])}" == browser.run("location.pathname")
