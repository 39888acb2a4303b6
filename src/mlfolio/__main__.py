"""`python -m mlfolio` is `mlfolio`."""

from mlfolio.cli import main

main()
