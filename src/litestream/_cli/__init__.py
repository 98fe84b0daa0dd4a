"""The verbs that this package adds to the ``litestream`` command."""
