"""Validate a cloud document; pydantic's errors become faults with positions and Kubernetes' words."""

from __future__ import annotations

import difflib
import re
import typing
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from testbed.spec.cloud.fields import Part
from testbed.spec.cloud.kinds import CHOICES, MODEL_WORDS, SPECS
from testbed.spec.codes import Code
from testbed.spec.document import Cursor, Document, Path
from testbed.spec.faults import did_you_mean, show
from testbed.spec.kubernetes_schema import check_definition, report_type, report_unknown_field
from testbed.spec.names import check_label, check_label_key

_WANTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "bool_type": "a boolean",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_CONTAINER = "io.k8s.api.core.v1.Container"
_METADATA = ("name", "labels", "annotations")


def check_cloud(document: Document, kind: str) -> Part | None:
    """The validated ``spec`` of a document, or None after faults were reported."""
    _check_frame(document)
    _check_containers(document)
    _check_choices(document)
    value = document.value.get("spec")
    if value is None:
        document.report(("spec",), Code.FIELD_REQUIRED, "Required value")
        return None
    try:
        return SPECS[kind].model_validate(value)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _report(document, SPECS[kind], detail)
        return None


def _check_frame(document: Document) -> None:
    root = document.root
    for key in document.value:
        if key not in ("apiVersion", "kind", "metadata", "spec"):
            report_unknown_field(document, (key,), ("metadata", "spec"))
    metadata = root["metadata"]
    if metadata.present and not isinstance(metadata.value, dict):
        report_type(document, metadata.path, "a mapping", metadata.value)
        return
    for key, _ in metadata.entries():
        if key not in _METADATA:
            report_unknown_field(document, ("metadata", key), _METADATA)
    name = metadata["name"]
    if name.require() and not isinstance(name.value, str):
        report_type(document, name.path, "a string", name.value)
    elif name.text and (problem := check_label(name.text)):
        name.fault(problem.code, problem.what, problem.hint)
    for kind in ("labels", "annotations"):
        _check_pairs(document, metadata[kind])


def _check_pairs(document: Document, pairs: Cursor) -> None:
    if pairs.present and not isinstance(pairs.value, dict):
        report_type(document, pairs.path, "a mapping", pairs.value)
    for key, entry in pairs.entries():
        if problem := check_label_key(key):
            entry.fault(problem.code, problem.what, problem.hint, on_key=True)
        if not isinstance(entry.value, str):
            report_type(document, entry.path, "a string", entry.value)


def _check_containers(document: Document) -> None:
    for container in document.root["spec"]["containers"].items():
        check_definition(document, container.path, container.value, _CONTAINER)


def _check_choices(document: Document) -> None:
    """Where exactly one of several fields must be written."""
    spec = document.root["spec"]
    for path, fields in CHOICES.items():
        for cursor in _places(spec, path):
            if isinstance(cursor.value, dict):
                _check_choice(cursor, fields)


def _places(cursor: Cursor, path: tuple[str, ...]) -> list[Cursor]:
    if not path:
        return [cursor]
    if path[0] == "*":
        return [place for item in cursor.items() for place in _places(item, path[1:])]
    return _places(cursor[path[0]], path[1:])


def _check_choice(cursor: Cursor, fields: tuple[str, ...]) -> None:
    given = [name for name in fields if cursor[name].present]
    wanted = f"exactly one of {', '.join(fields)}"
    if not given:
        cursor.fault(Code.FIELD_REQUIRED, f"Required value: {wanted}")
    for name in given[1:]:
        cursor[name].fault(Code.FIELD_FORBIDDEN, f"Forbidden: set together with {given[0]}", f"write {wanted}")


def _report(document: Document, spec: type[Part], detail: ErrorDetails) -> None:
    path: Path = ("spec", *detail["loc"])
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "problem":
        document.report(path, context["code"], context["what"], context["hint"])
    elif kind == "missing" or kind == "too_short":
        document.report(path, Code.FIELD_REQUIRED, "Required value")
    elif kind == "extra_forbidden":
        report_unknown_field(document, path, _fields_at(spec, detail["loc"][:-1]))
    elif kind == "literal_error":
        supported = re.findall(r"'([^']*)'", context["expected"])
        if isinstance(value, str):
            listing = ", ".join(show(word) for word in sorted(supported))
            what = f"Unsupported value: {show(value)}: supported values: {listing}"
            document.report(path, Code.FIELD_VALUE, what, _other_word(path, value) or did_you_mean(value, supported))
        else:
            report_type(document, path, "a string", value)
    elif kind in _WANTED:
        report_type(document, path, _WANTED[kind], value)
    else:
        _report_range(document, path, kind, context, value)


def _other_word(path: Path, value: str) -> str:
    """What other products call a network model."""
    if path[-1] != "networkModel":
        return ""
    near = difflib.get_close_matches(value.lower(), MODEL_WORDS, n=1, cutoff=0.75)
    return f"did you mean {show(MODEL_WORDS[near[0]])}?" if near else ""


def _report_range(document: Document, path: Path, kind: str, context: dict[str, Any], value: Any) -> None:
    if "ge" in context or "le" in context:
        if str(path[-1]).lower().endswith("port"):
            what = "must be between 1 and 65535, inclusive"
            document.report(path, Code.PORT_RANGE, what, f"found {show(value)}")
            return
        bound = f"at least {context['ge']}" if "ge" in context else f"no more than {context['le']}"
        document.report(path, Code.FIELD_RANGE, f"must be {bound}, found {show(value)}")
        return
    document.report(path, Code.FIELD_VALUE, f"Invalid value: {show(value)}: {kind.replace('_', ' ')}")


def _fields_at(spec: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The names of the fields that the part at ``loc`` has."""
    current: Any = spec
    for step in loc:
        if isinstance(step, int):
            current = typing.get_args(_bare(current))[0]
        else:
            fields = {field.alias or name: field for name, field in _bare(current).model_fields.items()}
            current = fields[step].annotation
    return [field.alias or name for name, field in _bare(current).model_fields.items()]


def _bare(annotation: Any) -> Any:
    """``X`` of ``Annotated[X, ...]`` and of ``X | None``."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _bare(typing.get_args(annotation)[0])
    arguments = [item for item in typing.get_args(annotation) if item is not type(None)]
    if typing.get_origin(annotation) not in (None, list, tuple, dict) and len(arguments) == 1:
        return _bare(arguments[0])
    return annotation
