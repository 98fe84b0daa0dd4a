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
