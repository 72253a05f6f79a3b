"""What the engine keeps: tables, claims and migrations, on SQLite and PostgreSQL alike."""
