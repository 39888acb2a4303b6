"""What everything else is made of: systems, models, runs, scores, errors, the catalog."""
