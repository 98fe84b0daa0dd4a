"""The application's side of a supervised daemon."""
