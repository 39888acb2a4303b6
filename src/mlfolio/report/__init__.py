"""What a person reads after a run: figures, the HTML report, the model card."""
