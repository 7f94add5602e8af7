"""CCE's annotations, as far as they mean something here: their values. Everything else passes.

Source: CCE user guide, "LoadBalancer", "Configuring Health Check", "Configuring a Static IP Address for a Pod".
"""

from __future__ import annotations

import json
import re
from typing import Any

from testbed.spec.codes import Code
from testbed.spec.document import Cursor
from testbed.spec.faults import show
from testbed.spec.kube.common import check_supported, check_text, tell
from testbed.spec.names import check_label

ELB = "kubernetes.io/elb."
STATIC_IP_EXPIRY = "yangtse.io/static-ip-expire-duration"

_SWITCH = ("false", "true")
_WORDS = {
    f"{ELB}class": ("dnat", "performance", "shared", "union"),
    f"{ELB}lb-algorithm": ("LEAST_CONNECTIONS", "ROUND_ROBIN", "SOURCE_IP"),
    f"{ELB}session-affinity-mode": ("APP_COOKIE", "HTTP_COOKIE", "SOURCE_IP"),
    f"{ELB}health-check-flag": ("off", "on"),
    f"{ELB}pass-through": ("false", "onlyLocal", "true"),
    f"{ELB}transparent-client-ip": _SWITCH,
    f"{ELB}enable-transparent-client-ip": _SWITCH,
    f"{ELB}rule-priority-enabled": _SWITCH,
    "ingress.beta.kubernetes.io/url-match-mode": ("EQUAL_TO", "REGEX", "STARTS_WITH"),
    "yangtse.io/pod-with-eip": _SWITCH,
    "yangtse.io/static-ip": _SWITCH,
}
_OBJECTS = (f"{ELB}autocreate", f"{ELB}health-check-option", f"{ELB}session-affinity-option")
_NAMES = (f"{ELB}id", "kubernetes.io/natgateway.id", "yangtse.io/eip-id")
_NUMBERS = {f"{ELB}port": 65535, f"{ELB}ingress-order": 1000}
_SECONDS = {"delay": 1, "timeout": 1, "max_retries": 1, "persistence_timeout": 1}
_DURATION = re.compile(r"(\d{1,6}(\.\d{1,3})?[smhd])+", re.ASCII)


def check_known_annotations(annotations: Cursor) -> None:
    for key, words in _WORDS.items():
        check_supported(annotations[key], words)
    for key, most in _NUMBERS.items():
        text = annotations[key].text
        if text is not None and not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
            annotations[key].fault(Code.FIELD_VALUE, f"{show(text)} is not a number from 1 to {most}")
    for key in _NAMES:
        if annotations[key].text:
            check_text(annotations[key], check_label)
    for key in _OBJECTS:
        _check_object(annotations[key])
    expiry = annotations[STATIC_IP_EXPIRY]
    if expiry.text is not None and not _DURATION.fullmatch(expiry.text):
        expiry.fault(Code.FIELD_VALUE, f"{show(expiry.text)} is not a duration", 'e.g. "5m" or "1h30m"')


def _check_object(cursor: Cursor) -> None:
    """JSON in a text: an object, with numbers where numbers are expected. Its name becomes a host's."""
    if cursor.text is None:
        return
    value = _read_json(cursor.text)
    if not isinstance(value, dict):
        cursor.fault(Code.FIELD_VALUE, f"{show(cursor.text)} is not a JSON object", 'e.g. {"type": "public"}')
        return
    name = value.get("name")
    if name is not None:
        tell(cursor, check_label(name if isinstance(name, str) else str(name)))
    for key, least in _SECONDS.items():
        number = value.get(key, least)
        digits = str(number)
        if isinstance(number, bool) or not (
            digits.isascii() and digits.isdigit() and least <= int(digits[:9]) <= 86400
        ):
            cursor.fault(Code.FIELD_VALUE, f"{key} must be a number from {least} to 86400, found {show(number)}")


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
