"""Tests of the ways in: the command line."""
