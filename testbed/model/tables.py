"""Names of the flow tables by their ids, as dumps show them; made by ``python -m controllers.document``."""

from __future__ import annotations

VPC = (
    "classify",
    "spoof_guard",
    "arp",
    "egress",
    "egress_state",
    "egress_answer",
    "egress_remote",
    "egress_rules",
    "balancer_return",
    "hop",
    "routing",
    "internet_exit",
    "nat_out",
    "internet",
    "nat_in",
    "arrival",
    "deliver",
    "balancer",
    "pick",
    "balanced",
    "receive",
    "ingress",
    "ingress_state",
    "ingress_rules",
    "accept",
    "leave",
    "output",
)

BR_EX = (
    "entry",
    "node",
)

BR_INT = (
    "classify",
    "spoof",
    "arp",
    "restrict",
    "unhide",
    "untranslate",
    "service",
    "balance",
    "affinity",
    "choose",
    "remember",
    "hide",
    "local",
    "remote",
    "deliver",
)
