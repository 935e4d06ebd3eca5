"""The tests, in the rooms of the package they are about, and `end_to_end/` for what only the whole can show."""
