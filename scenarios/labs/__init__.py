"""Guided labs: each file is one; ``lab labs`` lists them."""
