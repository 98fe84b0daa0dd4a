"""The history of proofs, and how a backup is, without a call of the replica."""
