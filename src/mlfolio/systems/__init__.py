"""The systems: the only place that knows a task."""
