"""A controller process with a compiler of the test's own: ``controller_stand_in.py RUN_DIR``.

Its document: ``{"generation": 3, "switches": {"1": {"flows": 100, "bad": false}}}``: datapath id -> how many flows;
``bad`` adds a flow that the switch refuses.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from controllers import app
from controllers.openflow import (
    Bucket,
    Flow,
    Group,
    GroupKind,
    Output,
    Pipeline,
    Program,
    SetField,
    Table,
    ToGroup,
    build_program,
    fields,
    match,
    register,
)
from controllers.runtime.fleet import Desired

MARK = register("mark", 0)
PIPELINE = Pipeline(
    role="stand-in",
    tables=(
        Table("first", "By destination.", (fields.IPV4_DST, fields.IN_PORT), (MARK, fields.ETH_DST), ("last",), "last"),
        Table("last", "Deliver.", (MARK,)),
    ),
    bits=(MARK,),
)


def program_of(number: int, flows: int, bad: bool) -> Program:
    made = [
        Flow(
            "first",
            100,
            match(ipv4_dst=(10 << 24 | number << 8, 0xFFFFFF00)),
            (SetField(MARK, number), SetField(fields.ETH_DST, 0x020000000000 + number)),
            goto="last",
            owner=f"Pod/default/p{number}",
            note="to its node",
        )
        for number in range(flows)
    ]
    made.append(Flow("last", 10, match({MARK: 1}), (ToGroup(1),), owner="Service/default/web"))
    if bad:
        made.append(
            Flow("last", 20, match({MARK: 2}), (Output(0xFFFFFF01),), owner="Pod/default/broken", note="wrong port")
        )
    buckets = tuple(Bucket((Output(port),)) for port in (1, 2))
    return build_program(PIPELINE, made, (Group(1, GroupKind.SELECT, buckets, "Service/default/web"),), f"s{number}")


def compile_document(path: Path) -> Desired:
    document = json.loads(path.read_text())
    programs = {
        int(number): program_of(int(number), each["flows"], each.get("bad", False))
        for number, each in document["switches"].items()
    }
    return Desired(document["generation"], programs)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    app.run("stand-in", Path(sys.argv[1]), compile_document)
