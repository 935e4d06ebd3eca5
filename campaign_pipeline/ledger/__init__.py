"""The database: tables, states, connection and migrations, on SQLite or PostgreSQL.

Add here what every room shares about storage: a table, a column, a constraint, an index, a connection setting.
Keep out every query: SQL stands with the room that owns the rule it carries.
"""
