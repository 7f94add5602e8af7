"""Strict validation of Kubernetes documents against the schemas that Kubernetes publishes.

The schemas are those that ``kubernetes-validate`` carries. A compiled validator is kept for each kind, and
schemas are loaded for kinds in use only.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

import jsonschema
from kubernetes_validate import utils as published
from referencing import Registry, Resource

from testbed.spec.codes import Code
from testbed.spec.document import Document, Path, render_path
from testbed.spec.faults import did_you_mean, found, plain, show

KUBERNETES_VERSION = "1.33"
"""One version for everybody: late enough for today's manifests, offered by the real cloud."""

_WANTED = {
    "array": "a list",
    "object": "a mapping",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
}
_INTEGER_BITS = {"int32": 31, "int64": 63}


def schema_name(api_version: str, kind: str) -> str:
    """``networking.k8s.io/v1``, ``Ingress`` -> ``ingress-networking-v1``, as the schema files are called."""
    return f"{kind.lower()}-" + re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)


@functools.cache
def published_kinds() -> dict[tuple[str, str], str]:
    """(apiVersion, kind) -> schema of every top-level kind of this Kubernetes version."""
    kinds = {}
    for definition_name, definition in _definitions()["$defs"].items():
        for version in definition.get("x-kubernetes-group-version-kind", ()):
            group, kind = version["group"], version["kind"]
            api_version = f"{group}/{version['version']}" if group else version["version"]
            if "metadata" in definition.get("properties", {}):
                kinds[(api_version, kind)] = definition_name
    return kinds


@functools.cache
def _version_folder() -> str:
    known = [version for version in published.all_versions() if published.major_minor(version) == KUBERNETES_VERSION]
    return f"kubernetes-json-schema/v{known[0]}-local-strict"


@functools.cache
def _definitions() -> dict[str, Any]:
    contents: dict[str, Any] = published.schema_contents(f"{_version_folder()}/_definitions.json", KUBERNETES_VERSION)
    return contents


@functools.cache
def _validator(definition: str) -> jsonschema.Draft202012Validator:
    """The validator of one definition, such as ``io.k8s.api.core.v1.Container``."""
    resource: Resource[Any] = Resource.from_contents(_definitions())
    registry: Registry[Any] = resource @ Registry()
    schema = {"$ref": f"https://kubernetes.io/api/_definitions.json#/$defs/{definition}"}
    validator: jsonschema.Draft202012Validator = _STRICT(schema, registry=registry, format_checker=_FORMATS)
    return validator


def _is_integer(_: Any, instance: Any) -> bool:
    """JSON Schema takes 80.0 for an integer; Kubernetes does not."""
    return isinstance(instance, int) and not isinstance(instance, bool)


_STRICT = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)
_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("int32")
def _fits_int32(value: Any) -> bool:
    return not isinstance(value, int) or abs(value) < 2**31


@_FORMATS.checks("int64")
def _fits_int64(value: Any) -> bool:
    return not isinstance(value, int) or abs(value) < 2**63


def check_kubernetes(document: Document, api_version: str, kind: str) -> None:
    """Report what the published schema has against the document."""
    check_definition(document, (), document.value, published_kinds()[(api_version, kind)])


def check_definition(document: Document, path: Path, value: Any, definition: str) -> None:
    """Report what the schema called ``definition`` has against ``value``, written at ``path``."""
    for error in _validator(definition).iter_errors(value):
        _report(document, (*path, *error.absolute_path), error)


def _report(document: Document, path: Path, error: jsonschema.ValidationError) -> None:
    match error.validator:
        case "additionalProperties":
            _report_unknown(document, path, error)
        case "required":
            present = error.instance if isinstance(error.instance, dict) else {}
            for name in _words(error.validator_value):
                if name not in present:
                    document.report((*path, name), Code.FIELD_REQUIRED, "Required value")
        case "type":
            _report_type(document, path, error.validator_value, error.instance)
        case "oneOf":
            wanted = " or ".join(_WANTED[kind] for kind in _alternatives(error.validator_value))
            document.report(path, Code.FIELD_TYPE, f"must be {wanted}, found {found(error.instance)}")
        case "format":
            _report_format(document, path, error)
        case "enum":
            supported = ", ".join(show(value) for value in _words(error.validator_value))
            what = f"Unsupported value: {show(error.instance)}: supported values: {supported}"
            document.report(path, Code.FIELD_VALUE, what)
        case _:
            document.report(path, Code.FIELD_VALUE, plain(error.message))


def _report_unknown(document: Document, path: Path, error: jsonschema.ValidationError) -> None:
    schema = error.schema if isinstance(error.schema, dict) else {}
    known = schema.get("properties", {})
    for key in _words(error.instance):
        if key not in known:
            report_unknown_field(document, (*path, key), known)


def report_unknown_field(document: Document, path: Path, known: Iterable[str]) -> None:
    """Kubernetes' words for a field that a kind does not have, with the nearest that it has."""
    what = f"strict decoding error: unknown field {show(render_path(path))}"
    hint = did_you_mean(str(path[-1]), known)
    document.report(path, Code.FIELD_UNKNOWN, what, hint, on_key=True)


def _report_type(document: Document, path: Path, wanted: Any, instance: Any) -> None:
    kinds = [wanted] if isinstance(wanted, str) else [kind for kind in wanted if kind != "null"]
    report_type(document, path, " or ".join(_WANTED[kind] for kind in kinds), instance)


def report_type(document: Document, path: Path, wanted: str, instance: Any) -> None:
    """``must be a string, found boolean false; write "no" in quotes``."""
    hint = ""
    written = document.texts.get(path)
    if "a string" in wanted and written is not None:
        hint = f"write {show(written)} in quotes"
    document.report(path, Code.FIELD_TYPE, f"must be {wanted}, found {found(instance)}", hint)


def _report_format(document: Document, path: Path, error: jsonschema.ValidationError) -> None:
    bits = _INTEGER_BITS[str(error.validator_value)]
    if "ort" in str(path[-1]):  # port, nodePort, containerPort: Kubernetes' words for all of them
        what = f"Invalid value: {show(error.instance)}: must be between 1 and 65535, inclusive"
        document.report(path, Code.PORT_RANGE, what)
        return
    what = f"must be between {-(2**bits)} and {2**bits - 1}, found {show(error.instance)}"
    document.report(path, Code.FIELD_RANGE, what)


def _words(value: Any) -> list[Any]:
    """What jsonschema types as anything: here always something with items."""
    return list(value)


def _alternatives(schemas: Any) -> list[str]:
    names: list[str] = []
    for schema in schemas:
        kinds = schema.get("type", [])
        names += [kinds] if isinstance(kinds, str) else [kind for kind in kinds if kind != "null"]
    return names
