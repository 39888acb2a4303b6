"""Where an index lies: LanceDB's files or PostgreSQL, behind `retrieval.index.Index`."""
