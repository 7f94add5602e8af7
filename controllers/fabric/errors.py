"""What can be wrong with a fabric document."""


class StateError(ValueError):
    """The document refers to something that it doesn't hold, or breaks a range; the text names both objects."""
