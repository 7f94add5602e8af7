"""The cloud's forwarding: from the fabric's desired state to the program of its bridge. Pure."""

from controllers.fabric.compile import compile_fabric
from controllers.fabric.errors import StateError
from controllers.fabric.pipeline import PIPELINE

__all__ = ["PIPELINE", "StateError", "compile_fabric"]
