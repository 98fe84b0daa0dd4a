"""A restore, all or nothing."""
