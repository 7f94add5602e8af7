"""Images of the lab's own components, which start as root because they read secrets, and drop rights themselves."""

from __future__ import annotations

PREFIX = "lab.internal/"


def is_privileged(image: str) -> bool:
    return image.startswith(PREFIX)
