"""Where headquarters keeps hours: an SQLite file, or a PostgreSQL server."""
