"""Tests of the Cloud API room and of its local simulator."""
