"""A pipeline that may do everything, for tests of what is not about pipelines; and values to try."""

from __future__ import annotations

from controllers.openflow import Pipeline, Table, Zone, ct_label, ct_mark, fields, register

ANYTHING = tuple(fields.FIELDS.values())
NEXT = register("next", 0)
LOW = register("low", 1, low=0, width=1)
MIDDLE = register("middle", 1, low=4, width=12)
PORT = register("port", 2, low=16, width=16)
LAST = register("last", 15)
MARK = ct_mark("mark", low=4, width=4)
LABEL = ct_label("label", low=64, width=32)
ZONE = Zone("zone", 7)
WIDE = Pipeline(
    "wide",
    (
        Table("one", "First.", ANYTHING, ANYTHING, ("two", "three")),
        Table("two", "Second.", ANYTHING, ANYTHING, ("one", "three")),
        Table("three", "Third.", ANYTHING, ANYTHING),
    ),
    (NEXT, LOW, MIDDLE, PORT, LAST, MARK, LABEL),
    (ZONE,),
)
