"""The audit of a database, by the series that replicates it."""

from __future__ import annotations

from litestream._database.audit import PIECES
from litestream._database.audit_03 import Audit03
from litestream._database.audit_05 import Audit05

TYPE_CHECKING = False
if TYPE_CHECKING:
    from litestream._database.audit import Audit


def audit(series: str, database: str, meta: str, pieces: int = PIECES) -> Audit:
    """Return the audit of a database's local state."""
    return (Audit05 if series == "0.5" else Audit03)(database, meta, pieces)
