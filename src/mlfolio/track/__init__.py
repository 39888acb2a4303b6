"""Tracking and registry, by MLflow."""
