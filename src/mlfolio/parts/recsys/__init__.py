"""What recommenders share: who saw what, splits of it, and how good a ranking is."""
