"""The only SQL: PostgreSQL through SQLAlchemy Core and psycopg. Functions are named for what they answer
and return core values, never rows."""
