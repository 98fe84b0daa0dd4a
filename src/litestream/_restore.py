"""Restore a database from its replica."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from litestream._run import Flag, StrPath

IntegrityCheck = Literal["none", "quick", "full"]


@overload
def restore(
    database: StrPath,
    output: StrPath | None = None,
    *,
    if_db_not_exists: Literal[False] = False,
    if_replica_exists: Literal[False] = False,
    force: bool = False,
    replica: str | None = None,
    generation: str | None = None,
    index: int | None = None,
    txid: int | str | None = None,
    timestamp: datetime | str | None = None,
    parallelism: int | None = None,
    integrity_check: IntegrityCheck = "quick",
    progress: Callable[[int, int | None], object] | None = None,
    config: StrPath | None = None,
    timeout: float | None = None,
    **flags: Flag,
) -> Path: ...
@overload
def restore(
    database: StrPath,
    output: StrPath | None = None,
    *,
    if_db_not_exists: bool = False,
    if_replica_exists: bool = False,
    force: bool = False,
    replica: str | None = None,
    generation: str | None = None,
    index: int | None = None,
    txid: int | str | None = None,
    timestamp: datetime | str | None = None,
    parallelism: int | None = None,
    integrity_check: IntegrityCheck = "quick",
    progress: Callable[[int, int | None], object] | None = None,
    config: StrPath | None = None,
    timeout: float | None = None,
    **flags: Flag,
) -> Path | None: ...
def restore(
    database: StrPath,
    output: StrPath | None = None,
    *,
    if_db_not_exists: bool = False,
    if_replica_exists: bool = False,
    force: bool = False,
    replica: str | None = None,
    generation: str | None = None,
    index: int | None = None,
    txid: int | str | None = None,
    timestamp: datetime | str | None = None,
    parallelism: int | None = None,
    integrity_check: IntegrityCheck = "quick",
    progress: Callable[[int, int | None], object] | None = None,
    config: StrPath | None = None,
    timeout: float | None = None,
    **flags: Flag,
) -> Path | None:
    """Restore a database from its replica and return the path of the restored file."""
    raise NotImplementedError
