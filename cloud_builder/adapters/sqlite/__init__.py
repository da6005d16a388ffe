"""A daemon's own durable state, in one SQLite file."""
