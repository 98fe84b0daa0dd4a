"""The workshop behind build_wheels.py: pins, downloads, wheels, checks. Never installed."""
