"""What runs around the compilers: one session per switch, the desired state's watch, the applied document.

Nothing here does network I/O or knows of Ryu: ``controllers.app`` carries bytes between switches and
sessions.
"""
