"""Data: records of data sets, reading, splitting, fingerprints and the data doctor."""
