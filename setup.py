"""The version: upstream's release and our revision of the package, both from upstream.toml.

Everything else is in pyproject.toml. A build from here, of a checkout or of the sdist, makes a
wheel without an executable and needs no network; build_wheels.py puts the executables in.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import setup

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pins = tomllib.loads((Path(__file__).parent / "vendor/upstream.toml").read_text("utf-8"))
series = os.environ.get("LITESTREAM_BUILD_SERIES", pins["default"])

setup(version=f"{pins['series'][series]['version']}.{pins['revision']}")
