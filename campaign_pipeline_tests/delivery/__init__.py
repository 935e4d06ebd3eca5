"""Tests of what is learnt after a message has left: payloads, status files, the fold, analytics."""
