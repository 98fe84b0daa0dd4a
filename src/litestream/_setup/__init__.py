"""Write a config, show it, and bring it from 0.3 to 0.5."""
