"""The pods of one revision of a Deployment's or StatefulSet's template."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.kubernetes import Template


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """``ordinals`` number its pods; there is more than one set while pods are being replaced."""

    revision: str
    template: Template
    ordinals: tuple[int, ...]
