"""The manual's pages: each has its tests, which run its blocks; here is what all have in common."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from litestream._cli import verbs
from tests.servers import DOCS, Page

ROOT = DOCS.parent
OTHERS = {
    "check",
    "directories",
    "gem",
    "init",
    "keys",
    "minio",
    "monitoring",
    "troubleshooting",
    "upgrade",
    "upstream",
}  # see test_directories, test_docs_config, test_minio, test_monitoring, test_upstream
PAGES = sorted({path.stem for path in DOCS.glob("*.md")} - OTHERS)
TESTS = {"starlette": "asgi"}  # a page's name, where its test has another
ADAPTERS = ["asgi", "django", "flask", "gunicorn", "sqlalchemy", "starlette", "testing"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_in_the_readme_and_has_its_test(name: str) -> None:
    assert f"(docs/{name}.md)" in (ROOT / "README.md").read_text()
    assert f'Page("{name}")' in (ROOT / f"tests/test_{TESTS.get(name, name)}.py").read_text()


@pytest.mark.parametrize("name", PAGES)
def test_its_code_compiles_and_its_commands_are_known(name: str) -> None:
    page = Page(name)
    files = {"text"} if name == "schedulers" else set()  # of cron and others: see test_readme
    assert {language for language, _ in page.blocks} <= {"python", "sh"} | files
    for _, body in [block for block in page.blocks if block[0] == "python"]:
        compile(body, name, "exec")
    for command in page.commands():
        if command.startswith("litestream verify"):
            assert verbs._parser("verify")[0].parse_args(command.split()[1:]).all


@pytest.mark.parametrize("name", PAGES)
def test_its_links_lead_somewhere(name: str) -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)", Page(name).text):
        assert (DOCS / link).resolve().exists(), link


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_imports_its_own_framework_alone_and_starts_nothing(name: str) -> None:
    others = {"django", "flask", "gunicorn", "sqlalchemy", "starlette"} - {name}
    script = (
        f"import sys, threading, litestream.{name}; print(threading.active_count(), "
        f"sorted({others!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "1 []\n" == done.stdout, done.stderr
