"""Our own verbs of the ``litestream`` command."""
