"""Tests of the database: what it promises by itself, on SQLite and on PostgreSQL."""
