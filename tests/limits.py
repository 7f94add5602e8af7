"""How long tests wait."""

LIMIT = 60.0
"""Seconds for what must come. No test is about them: a machine with other things to do may take that long."""

ENDS = 20.0
"""Seconds for a program to end that was told to: less than its pod's grace period (30), after which it is killed."""

SILENCE = 1.3
"""Seconds without an answer that are a drop: more than the one after which the kernel sends its first packet again."""
