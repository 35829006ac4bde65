"""What services report about themselves, asked in separate threads: one that does not answer delays no
other.

A Redis reports its memory and clients (INFO), a Postgres its connections, waits and transactions. The
session that asks a Postgres is in another database than the one under load, because its queries are
transactions too: what pg_stat_database counts of the loaded database stays the load's alone.
"""
