"""Serving: the champions behind one API, with a prediction log, limits, keys and metrics."""
