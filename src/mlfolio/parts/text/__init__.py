"""Parts for texts: TF-IDF of words and characters, linear classifiers, near-duplicates."""
