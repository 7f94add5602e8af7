"""From YAML files to the model: every fault at once, with file, line, column and what would be right."""

from testbed.spec.codes import Code, render_codes
from testbed.spec.editor import render_schema
from testbed.spec.faults import Fault, Severity, SpecError
from testbed.spec.load import Loaded, check_lab, load_lab, load_manifests, load_texts

__all__ = [
    "Code",
    "Fault",
    "Loaded",
    "Severity",
    "SpecError",
    "check_lab",
    "load_lab",
    "load_manifests",
    "load_texts",
    "render_codes",
    "render_schema",
]
