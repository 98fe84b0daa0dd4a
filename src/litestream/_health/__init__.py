"""The health of backups and the history of proofs, without a request to the replica."""
