"""A SQLite file, and what stands beside it."""
