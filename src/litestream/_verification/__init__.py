"""The two proofs of a backup."""
