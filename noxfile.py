"""The test suite on every supported Python that is installed: `nox`."""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False


@nox.session(python=["3.10", "3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    session.install("--editable", ".[dev]")
    session.run("python", "build_wheels.py", "fetch", "--series", "all", "--platform", "all")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """Check a user's program with pyright, too; its extra brings a node along."""
    session.install("--editable", ".[dev]", "pyright[nodejs]")
    session.run("pytest", "tests/type_checks", *session.posargs)


@nox.session(python=["3.10", "3.11", "3.12", "3.13"])
@nox.parametrize("django", ["4.2", "5.2", "6.0", "6.1"])
def django(session: nox.Session, django: str) -> None:
    if django >= "6" and str(session.python) in ("3.10", "3.11"):
        session.skip("Django 6 needs Python 3.12")
    # not the extra: django-health-check is for newer ones only, and its test is skipped then
    tools = ("pytest", "pytest-timeout", "pytest-xdist", "psutil", "tomli", "gunicorn", "uvicorn")
    session.install("--editable", ".", f"django~={django}.0", *tools)
    session.run("python", "build_wheels.py", "fetch", "--series", "all", "--platform", "all")
    session.run("pytest", "-n", "auto", "tests/test_django.py", *session.posargs)
