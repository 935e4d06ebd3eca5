"""Measurements, run by hand; each module's docstring says what it asks and how to repeat it."""
