"""The web app: a page for each system, made from its model's types, its card and its report."""
