"""What table systems share: the schema of a table, and a stored classifier behind it."""
