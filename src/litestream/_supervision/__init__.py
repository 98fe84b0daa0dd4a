"""Keep one daemon running: one process, no thread, the standard library alone."""
