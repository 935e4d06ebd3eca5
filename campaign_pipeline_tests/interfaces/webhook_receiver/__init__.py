"""Tests of the webhook receiver: a real process, real signatures, real kills."""
