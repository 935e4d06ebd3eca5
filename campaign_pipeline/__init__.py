"""Sends a WhatsApp campaign a batch a day from Dagster, and never the same message twice to anyone.

Rooms and their order are in docs/decisions.md; every room's own docstring says what lives there.
"""
