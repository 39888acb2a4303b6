"""Language models of any maker behind one small door."""
