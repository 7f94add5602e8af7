"""One pcapng file with an interface for each place: Wireshark and tcpdump show which packet was seen where."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pcapng import FileWriter
from pcapng.blocks import EnhancedPacket, InterfaceDescription, SectionHeader

from testbed.observe.sniffing import Sniffed
from testbed.observe.spots import Spot

_ETHERNET, _NANOSECONDS = 1, bytes([9])
_RECEIVED, _SENT = 1, 2
_NANO = 1_000_000_000


def write_pcapng(
    path: Path, spots: Sequence[Spot], frames: Iterable[Sniffed], title: str, comment: Callable[[Sniffed], str]
) -> int:
    """The number of frames written. A place without any is an interface of the file as well.

    Raises ``OSError``.
    """
    section = SectionHeader(options={"opt_comment": title, "shb_userappl": "lab capture"})
    interfaces = {spot.place.name: section.new_member(InterfaceDescription, **_description(spot)) for spot in spots}
    count = 0
    with path.open("wb") as file:
        with warnings.catch_warnings():  # the library's own schema of if_tsresol is what it warns of
            warnings.simplefilter("ignore", DeprecationWarning)
            writer = FileWriter(file, section)
        for frame in frames:
            writer.write_block(_packet(section, interfaces[frame.place.name], frame, comment(frame)))
            count += 1
    return count


def _description(spot: Spot) -> dict[str, object]:
    options = {"if_name": spot.place.name, "if_description": spot.description, "if_tsresol": _NANOSECONDS}
    return {"link_type": _ETHERNET, "snaplen": 0, "options": options}


def _packet(section: SectionHeader, interface: InterfaceDescription, frame: Sniffed, comment: str) -> EnhancedPacket:
    nanoseconds = round(frame.at * _NANO)
    options: dict[str, object] = {"epb_flags": _SENT if frame.leaving else _RECEIVED}
    if comment:
        options["opt_comment"] = comment
    block = section.new_member(EnhancedPacket, interface_id=interface.interface_id, options=options)
    block.timestamp_high, block.timestamp_low = nanoseconds >> 32, nanoseconds & 0xFFFFFFFF
    block.packet_data, block.packet_len = frame.data, len(frame.data)
    return block
