"""One reader a file format: bytes in, blocks out."""
