"""Pictures: reading them, altering them, nets that look at them."""
