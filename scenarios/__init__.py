"""Scripts that show how the lab behaves, one statement after the other."""
