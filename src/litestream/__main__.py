"""``python -m litestream``: the same as the ``litestream`` command."""

from __future__ import annotations

from litestream.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
