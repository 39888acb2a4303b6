"""What systems are made of, by modality. A part is used by at least two systems."""
