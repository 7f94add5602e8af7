"""Planning: from a lab as asked for to everything that has to exist and be programmed. Pure functions of values."""

from testbed.model.planning.faults import PlanError, PlanFault
from testbed.model.planning.ledger import Ledger
from testbed.model.planning.plan import Plan, plan_lab
from testbed.model.planning.resolved import PlannedHost, PlannedNode, PlannedPod

__all__ = ["Ledger", "Plan", "PlanError", "PlanFault", "PlannedHost", "PlannedNode", "PlannedPod", "plan_lab"]
