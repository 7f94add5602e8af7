"""The JSON Schema of the project's own documents, for editors that complete and check YAML as it is typed.

Kubernetes' documents in the same file are left alone: editors have their schemas.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import models_json_schema

from testbed.spec.cloud.kinds import API_VERSION, SPECS
from testbed.spec.names import LABEL_LENGTH

_METADATA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": LABEL_LENGTH},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def render_schema() -> str:
    """The schema as JSON text, sorted, with a newline at the end: the contents of ``topologies/schema.json``."""
    return json.dumps(build_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def build_schema() -> dict[str, Any]:
    references, definitions = models_json_schema(
        [(spec, "validation") for spec in SPECS.values()], ref_template="#/$defs/{model}"
    )
    by_kind = [
        {
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"properties": {"spec": references[(spec, "validation")]}},
        }
        for kind, spec in SPECS.items()
    ]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "cnlab lab documents",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "if": {"properties": {"apiVersion": {"const": API_VERSION}}},
        "then": {
            "additionalProperties": False,
            "required": ["metadata", "spec"],
            "properties": {
                "apiVersion": {"const": API_VERSION},
                "kind": {"enum": list(SPECS)},
                "metadata": _METADATA,
                "spec": {"type": "object"},
            },
            "allOf": by_kind,
        },
        "$defs": definitions["$defs"],
    }
