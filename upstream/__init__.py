"""What each Litestream release loses without a word: one probe per trap, on the bare executable."""
