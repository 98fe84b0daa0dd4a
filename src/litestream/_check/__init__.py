"""The faults of a config, and a trial of it."""
