"""The control socket of a 0.5 daemon."""
