"""Tests of what Dagster sees: definitions, runs in this process, ticks, and what the event log holds afterwards."""
