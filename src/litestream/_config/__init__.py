"""``litestream.yml`` as the executable reads it."""
