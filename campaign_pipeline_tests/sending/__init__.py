"""Tests of sending a date: the promises, on both databases, against the local Cloud API in a process of its own."""
