"""What is wrong with a config, and what comes of trying it."""
