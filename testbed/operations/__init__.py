"""The one path for every change of a lab: load, plan, compare, realise, wait, remember."""
