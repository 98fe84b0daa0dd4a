"""Whether a commit is in the replica."""
