"""Run Litestream once."""
