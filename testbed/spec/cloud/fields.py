"""The types of single fields of cloud documents: read strictly from YAML values, each with its editor schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from testbed.spec.addresses import check_usable, read_address, read_cidr
from testbed.spec.codes import Code
from testbed.spec.faults import found, show
from testbed.spec.names import Problem, check_label, check_label_key, check_label_value

T = TypeVar("T")

Ports = tuple[tuple[int, int], ...]
"""Inclusive port ranges; empty: all ports."""


def kubernetes_case(name: str) -> str:
    """``container_cidr`` -> ``containerCIDR``, as Kubernetes spells abbreviations."""
    camel = to_camel(name)
    for ending, spelled in (("Cidr", "CIDR"), ("Cidrs", "CIDRs"), ("Enis", "ENIs")):
        if camel.endswith(ending):
            return camel.removesuffix(ending) + spelled
    return camel


class Part(BaseModel):
    """Base of every part of a cloud document: frozen, strict, no unknown fields, Kubernetes' spelling."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=kubernetes_case)


def refuse(problem: Problem) -> PydanticCustomError:
    return PydanticCustomError(
        "problem",  # the code travels in the context: pydantic wants a literal here
        "{what}",
        {"what": problem.what, "hint": problem.hint, "code": problem.code},
    )


def _wrong_type(wanted: str, value: Any) -> PydanticCustomError:
    return refuse(Problem(Code.FIELD_TYPE, f"must be {wanted}, found {found(value)}"))


def _text(read: Callable[[str], T | Problem]) -> Callable[[Any], T]:
    def validate(value: Any) -> T:
        if not isinstance(value, str):
            raise _wrong_type("a string", value)
        result = read(value)
        if isinstance(result, Problem):
            raise refuse(result)
        return result

    return validate


def _checked(check: Callable[[str], Problem | None]) -> Callable[[str], str | Problem]:
    return lambda text: check(text) or text


def _read_usable_cidr(text: str) -> IPv4Network | Problem:
    network = read_cidr(text)
    return network if isinstance(network, Problem) else check_usable(network) or network


def _read_port(value: Any) -> tuple[int, int] | Problem:
    if isinstance(value, int) and not isinstance(value, bool):
        first = last = value
    elif isinstance(value, str):
        low, dash, high = value.partition("-")
        if not (low.isascii() and low.isdigit() and (high.isascii() and high.isdigit() if dash else True)):
            what = f"{show(value)} is not a port or a range of ports"
            return Problem(Code.PORT_RANGE, what, 'write 80 or "8000-8080"')
        if len(low) > 5 or len(high) > 5:
            first, last = 0, 0
        else:
            first, last = int(low), int(high or low)
    else:
        return Problem(Code.FIELD_TYPE, f"must be a port or a range of ports, found {found(value)}")
    if not (1 <= first <= 65535 and 1 <= last <= 65535):
        return Problem(Code.PORT_RANGE, "must be between 1 and 65535, inclusive", f"found {show(value)}")
    if first > last:
        what = f"port range {show(value)} is reversed"
        return Problem(Code.PORT_RANGE, what, f'did you mean "{last}-{first}"?')
    return first, last


def _read_ports(value: Any) -> Ports:
    ports = [_read_port(item) for item in (value if isinstance(value, list) else [value])]
    for port in ports:
        if isinstance(port, Problem):
            raise refuse(port)
    return tuple(port for port in ports if not isinstance(port, Problem))


def _read_labels(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise _wrong_type("a mapping", value)
    for key, text in value.items():
        if problem := check_label_key(key):
            raise refuse(problem)
        if not isinstance(text, str):
            raise _wrong_type(f"a string for label {show(key)}", text)
        if problem := check_label_value(text):
            raise refuse(problem)
    return tuple(sorted(value.items()))


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a quota, in percent."""

    percent: int

    def of(self, quota: int) -> int:
        """Rounded down, as the cloud does."""
        return quota * self.percent // 100


def _read_target(value: Any) -> int | Share:
    if isinstance(value, int) and not isinstance(value, bool):
        if value >= 0:
            return value
        raise refuse(Problem(Code.FIELD_RANGE, f"must be at least 0, found {value}", ""))
    if isinstance(value, str):
        digits = value.removesuffix("%")
        if value.endswith("%") and digits.isascii() and digits.isdigit() and 1 <= int(digits[:9]) <= 100:
            return Share(int(digits))
        what = f"{show(value)} is neither a number of NICs nor 1% to 100% of the quota"
        raise refuse(Problem(Code.FIELD_VALUE, what, 'write 10 or "10%"'))
    raise _wrong_type("a number or a percentage", value)


_PORT_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": 65535},
        {"type": "string", "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?$"},
    ]
}

Name = Annotated[
    str,
    BeforeValidator(_text(_checked(check_label))),
    WithJsonSchema({"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}),
]
"""A DNS label: also the name of a host of the lab, or of a reference to an object."""

Cidr = Annotated[
    IPv4Network,
    BeforeValidator(_text(read_cidr)),
    WithJsonSchema({"type": "string", "examples": ["10.9.8.0/24", "0.0.0.0/0"], "pattern": "^[0-9.]+/[0-9]+$"}),
]
"""Any IPv4 network: destinations and peers."""

OwnCidr = Annotated[
    IPv4Network,
    BeforeValidator(_text(_read_usable_cidr)),
    WithJsonSchema({"type": "string", "examples": ["192.168.0.0/16"], "pattern": "^[0-9.]+/[0-9]+$"}),
]
"""A range of the lab's own: nothing reserved."""

Address = Annotated[
    IPv4Address,
    BeforeValidator(_text(read_address)),
    WithJsonSchema({"type": "string", "format": "ipv4", "examples": ["192.168.0.10"]}),
]

PortRanges = Annotated[
    Ports,
    BeforeValidator(_read_ports),
    WithJsonSchema({"anyOf": [*_PORT_SCHEMA["anyOf"], {"type": "array", "items": _PORT_SCHEMA}]}),
]
"""``80``, ``"8000-8080"`` or a list of them."""

Target = Annotated[
    int | Share,
    BeforeValidator(_read_target),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^([1-9][0-9]?|100)%$"}]}
    ),
]
"""A number of NICs, or ``"10%"`` of the flavour's quota."""

Port = Annotated[int, Field(ge=1, le=65535)]

Labels = Annotated[
    tuple[tuple[str, str], ...],
    BeforeValidator(_read_labels),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
]
