"""Static pod addresses (``yangtse.io/static-ip``): kept for a while after the pod is gone, for its return.

Source: CCE user guide, "Configuring a Static IP Address for a Pod"; the expiry is 5 minutes by default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from testbed.model.planning.ledger import Ledger, Reservation
from testbed.model.planning.requests import PodRequest

STATIC_IP = "yangtse.io/static-ip"
STATIC_IP_EXPIRY = "yangtse.io/static-ip-expire-duration"
DEFAULT_EXPIRY_SECONDS = 300.0

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class StaticAddresses:
    """The addresses that pods will find again during one planning run."""

    def __init__(self, old: Ledger, requests: Sequence[PodRequest], now: float) -> None:
        self._now = now
        self._wanted = {request.key for request in requests}
        items = [self._left(item) for item in old.reservations]
        self._live = {item.pod: item for item in items if item.expires > now or item.pod in self._wanted}

    def _left(self, item: Reservation) -> Reservation:
        """The time begins when the pod that has run until now is no longer wanted."""
        if item.expires or item.pod in self._wanted:
            return item
        return replace(item, expires=self._now + item.seconds)

    def wanted(self, request: PodRequest) -> IPv4Address | None:
        """The address reserved for the pod, if it may have one (StatefulSet and bare pods only)."""
        if not is_static(request):
            return None
        held = self._live.get(request.key)
        return held.address if held else None

    def reservations(self, holders: Mapping[str, tuple[PodRequest, IPv4Address, str]]) -> tuple[Reservation, ...]:
        """What the new ledger keeps: ``holders`` are running pods (request, address, subnet) by key."""
        running = [
            Reservation(key, address, subnet, expiry_seconds(request))
            for key, (request, address, subnet) in holders.items()
            if is_static(request)
        ]
        absent = [item for key, item in self._live.items() if key not in holders]
        return (*running, *absent)

    def reserved(self) -> tuple[Reservation, ...]:
        """Addresses that nobody else may get in this run."""
        return tuple(self._live.values())


def is_static(request: PodRequest) -> bool:
    return request.stateful and dict(request.template.annotations).get(STATIC_IP) == "true"


def expiry_seconds(request: PodRequest) -> float:
    """``5m``, ``1h30m`` and the like; the default when it is absent or can't be read."""
    text = dict(request.template.annotations).get(STATIC_IP_EXPIRY, "")
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    return sum(float(count) * _UNITS[unit] for count, unit in parts) or DEFAULT_EXPIRY_SECONDS
