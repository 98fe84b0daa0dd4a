"""Stub."""

from __future__ import annotations

IDS: dict[str, str] = {}
