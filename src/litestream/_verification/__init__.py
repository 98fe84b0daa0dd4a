"""The proofs of a backup: by a row, by content, at a past time."""
