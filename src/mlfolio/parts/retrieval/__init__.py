"""Retrieval: files to blocks, blocks to chunks, chunks to vectors, one index, hybrid search."""
