"""Litestream for Python."""
