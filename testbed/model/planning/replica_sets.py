"""The pods of one revision of a Deployment's template."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.kubernetes import Template


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """``ordinals`` number its pods; a Deployment has more than one set while its pods are being replaced."""

    revision: str
    template: Template
    ordinals: tuple[int, ...]
