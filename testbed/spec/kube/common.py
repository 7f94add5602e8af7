"""What the rules of several Kubernetes kinds share. All of it works on documents with any fault whatever."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network

from testbed.model.kubernetes import Labels, LabelSelector, SelectorTerm
from testbed.spec.addresses import read_address, read_cidr
from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.faults import did_you_mean, show
from testbed.spec.names import Problem, check_label_key, check_label_value

Check = Callable[[str], Problem | None]

PROTOCOLS = ("SCTP", "TCP", "UDP")
OPERATORS = ("DoesNotExist", "Exists", "In", "NotIn")
PORT_RULE = "must be between 1 and 65535, inclusive"


def tell(cursor: Cursor, problem: Problem | None, *, on_key: bool = False) -> None:
    """Report a problem, if there is one."""
    if problem:
        cursor.fault(problem.code, problem.what, problem.hint, on_key=on_key)


def check_text(cursor: Cursor, check: Check) -> None:
    """Check a text where there is one."""
    if cursor.text is not None:
        tell(cursor, check(cursor.text))


def check_supported(cursor: Cursor, supported: Iterable[str]) -> None:
    """Kubernetes' words for a value that is none of an enumeration."""
    known = sorted(supported)
    if cursor.text is not None and cursor.text not in known:
        listing = ", ".join(show(word) for word in known)
        what = f"Unsupported value: {show(cursor.text)}: supported values: {listing}"
        cursor.fault(Code.FIELD_VALUE, what, did_you_mean(cursor.text, known))


def check_protocol(cursor: Cursor) -> None:
    """Kubernetes knows three protocols; the lab carries two of them."""
    if cursor.text == "SCTP":
        cursor.fault(Code.FIELD_VALUE, "SCTP is not emulated", "use TCP or UDP")
    elif cursor.text != "":
        check_supported(cursor, PROTOCOLS)


def check_range(cursor: Cursor, low: int, high: int, why: str = "") -> None:
    number = cursor.number
    if number is not None and not low <= number <= high:
        reason = f" ({why})" if why else ""
        what = f"Invalid value: {show(number)}: must be between {low} and {high}, inclusive{reason}"
        cursor.fault(Code.FIELD_RANGE, what)


def check_port(cursor: Cursor) -> None:
    number = cursor.number
    if number is not None and not 1 <= number <= 65535:
        cursor.fault(Code.PORT_RANGE, f"Invalid value: {show(number)}: {PORT_RULE}")


def check_port_or_name(cursor: Cursor, check_name: Check) -> None:
    """A field that takes a port number or a port's name."""
    check_port(cursor)
    check_text(cursor, check_name)


def check_labels(cursor: Cursor) -> None:
    for key, entry in cursor.entries():
        tell(entry, check_label_key(key), on_key=True)
        check_text(entry, check_label_value)


def check_annotations(cursor: Cursor) -> None:
    for key, entry in cursor.entries():
        tell(entry, check_label_key(key.lower()), on_key=True)


def check_duplicates(items: Iterable[tuple[Cursor, object]], where: str = "") -> None:
    """Report each (cursor, identity) whose identity came before. None identities are skipped."""
    first: dict[object, Cursor] = {}
    for cursor, identity in items:
        if identity is None:
            continue
        if identity in first:
            line = first[identity].document.position(first[identity].path)[0]
            shown = show(identity) if isinstance(identity, str) else show(cursor.value)
            cursor.fault(Code.NAME_DUPLICATE, f"Duplicate value: {shown}", f"first at line {line}{where}")
        else:
            first[identity] = cursor


def check_selector(cursor: Cursor) -> None:
    """A LabelSelector: matchLabels and matchExpressions."""
    check_labels(cursor["matchLabels"])
    for term in cursor["matchExpressions"].items():
        if term["key"].require():
            check_text(term["key"], check_label_key)
        if not term["operator"].require():
            continue
        operator, values = term["operator"].text, term["values"]
        if operator not in OPERATORS:
            check_supported(term["operator"], OPERATORS)
        elif operator in ("In", "NotIn") and not values.items():
            values.fault(Code.FIELD_REQUIRED, "Required value: must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist") and values.items():
            what = "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            values.fault(Code.FIELD_FORBIDDEN, what)
        for value in values.items():
            check_text(value, check_label_value)


def read_selector(cursor: Cursor) -> LabelSelector:
    terms = tuple(
        SelectorTerm(term["key"].text_or(""), term["operator"].text_or(""), term["values"].texts())
        for term in cursor["matchExpressions"].items()
    )
    return LabelSelector(cursor["matchLabels"].pairs(), terms)


def selects(selector: LabelSelector, labels: Labels) -> bool:
    """Whether a selector finds an object with these labels."""
    have = dict(labels)
    if any(have.get(key) != value for key, value in selector.match_labels):
        return False
    return all(_term_selects(term, have) for term in selector.expressions)


def _term_selects(term: SelectorTerm, have: dict[str, str]) -> bool:
    match term.operator:
        case "In":
            return have.get(term.key) in term.values
        case "NotIn":
            return have.get(term.key) not in term.values
        case "Exists":
            return term.key in have
        case _:
            return term.key not in have


def check_cidr(cursor: Cursor) -> IPv4Network | None:
    """The network that a text says, after reporting what is wrong with it."""
    if cursor.text is None:
        return None
    network = read_cidr(cursor.text)
    if isinstance(network, Problem):
        tell(cursor, network)
        return None
    return network


def check_address(cursor: Cursor) -> IPv4Address | None:
    if cursor.text is None:
        return None
    address = read_address(cursor.text)
    if isinstance(address, Problem):
        tell(cursor, address)
        return None
    return address


def port_text(cursor: Cursor) -> str:
    """A port number or name as text; empty where there is none."""
    number = cursor.number
    return str(number) if number is not None else cursor.text_or("")


def forbid(cursor: Cursor, why: str) -> None:
    """Report a field that is set where it must not be."""
    if cursor.present and cursor.value not in ("", [], {}):
        cursor.fault(Code.FIELD_FORBIDDEN, f"Forbidden: {why}", on_key=True)


def ignore(cursor: Cursor, what: str = "is not emulated; ignored") -> None:
    """Warn of a field that is accepted and does nothing here."""
    if cursor.present and cursor.value not in ("", [], {}):
        cursor.warn(Code.FIELD_IGNORED, what, on_key=True)
