"""What nets share: how torch uses the machine."""
