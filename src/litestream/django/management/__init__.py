"""Django's commands are found in here."""
