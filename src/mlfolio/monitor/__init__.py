"""How a system does while it serves: drift, the quality of data and answers, and what follows."""
