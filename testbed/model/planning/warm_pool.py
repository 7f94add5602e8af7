"""Pre-binding of NICs in Cloud Native Network 2.0: how many to bind and unbind, as documented.

Source: CCE user guide, "Cloud Native 2.0 Network Model", dynamic pre-binding of container NICs.
"""

from __future__ import annotations

from testbed.model.cloud import WarmPool


def nics_to_bind(used: int, bound: int, quota: int, pool: WarmPool) -> int:
    """NICs to pre-bind on a node with ``used`` of ``bound`` NICs in use and a flavour quota of ``quota``."""
    minimum, maximum = min(pool.minimum, quota), min(pool.maximum, quota)
    idle = bound - used
    wanted = max(minimum - bound, pool.warm - idle)
    room = (maximum if _maximum_is_on(pool) else quota) - bound
    return max(0, min(wanted, room, quota - bound))


def nics_to_unbind(used: int, bound: int, quota: int, pool: WarmPool) -> int:
    """NICs to give back on the same node; never more than are idle."""
    idle = bound - used
    minimum = min(pool.minimum, quota)
    return max(0, min(idle - pool.warm - pool.above_warm, bound - minimum))


def _maximum_is_on(pool: WarmPool) -> bool:
    return pool.maximum > 0 and pool.maximum >= pool.minimum
