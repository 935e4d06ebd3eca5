"""Tests of the room that turns lists of people into audiences."""
