"""The syntax of names and labels, in Kubernetes' own words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from testbed.spec.codes import Code
from testbed.spec.faults import show

LABEL_LENGTH = 63
SUBDOMAIN_LENGTH = 253

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_WILDCARD = re.compile(r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")

LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)
LABEL_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character"
)
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
WILDCARD_RULE = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, "
    "which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
)
_QUALIFIED_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one value, before it is known where the value stands."""

    code: Code
    what: str
    hint: str = ""


def check_label(text: str) -> Problem | None:
    """The rule of pods, nodes, namespaces and everything that becomes a host of the lab."""
    return _check(text, _LABEL, LABEL_RULE, LABEL_LENGTH)


def check_label_1035(text: str) -> Problem | None:
    """The rule of Services."""
    return _check(text, _LABEL_1035, LABEL_1035_RULE, LABEL_LENGTH)


def check_subdomain(text: str) -> Problem | None:
    return _check(text, _SUBDOMAIN, SUBDOMAIN_RULE, SUBDOMAIN_LENGTH)


def check_wildcard(text: str) -> Problem | None:
    return _check(text, _WILDCARD, WILDCARD_RULE, SUBDOMAIN_LENGTH)


def check_port_name(text: str) -> Problem | None:
    rule = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-), and at least one letter"
    return _check(text, _PORT_NAME, rule, 15)


def check_variable(text: str) -> Problem | None:
    rule = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.'"
    return _check(text, _VARIABLE, rule, 1000)


def check_label_key(text: str) -> Problem | None:
    prefix, slash, name = text.rpartition("/")
    if slash and not (_SUBDOMAIN.fullmatch(prefix) and len(prefix) <= SUBDOMAIN_LENGTH):
        return _label_problem(text, f"prefix part {SUBDOMAIN_RULE if prefix else 'must be non-empty'}")
    if not name:
        return _label_problem(text, "name part must be non-empty")
    if len(name) > LABEL_LENGTH:
        return _label_problem(text, f"name part must be no more than {LABEL_LENGTH} characters")
    return None if _QUALIFIED.fullmatch(name) else _label_problem(text, f"name part {_QUALIFIED_RULE}")


def check_label_value(text: str) -> Problem | None:
    if len(text) > LABEL_LENGTH:
        return _label_problem(text, f"must be no more than {LABEL_LENGTH} characters")
    if text == "" or _QUALIFIED.fullmatch(text):
        return None
    return _label_problem(text, f"a valid label must be an empty string or {_QUALIFIED_RULE.removeprefix('must ')}")


def _label_problem(text: str, rule: str) -> Problem:
    return Problem(Code.LABEL_SYNTAX, f"Invalid value: {show(text)}: {rule}")


def _check(text: str, pattern: re.Pattern[str], rule: str, longest: int) -> Problem | None:
    if len(text) > longest:
        what = f"Invalid value: {show(text)}: must be no more than {longest} characters"
        return Problem(Code.NAME_SYNTAX, what)
    if pattern.fullmatch(text):
        return None
    return Problem(Code.NAME_SYNTAX, f"Invalid value: {show(text)}: {rule}", _better_name(text, pattern))


def _better_name(text: str, pattern: re.Pattern[str]) -> str:
    keep = "." if pattern in (_SUBDOMAIN, _WILDCARD) else ""
    better = re.sub(rf"[^a-z0-9{keep}]+", "-", text.lower()).strip("-.")
    return f"did you mean {show(better)}?" if better and pattern.fullmatch(better) else ""
