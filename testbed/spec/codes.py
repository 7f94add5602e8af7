"""The codes of faults. They are stable: scripts and tests may rely on them, texts may be improved."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """``Code.X`` is the text that is printed in brackets; ``Code.X.meaning`` says when it is given."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    FILE_UNREADABLE = "FILE-UNREADABLE", "a file is missing, is a directory, or can't be read"
    FILE_TOO_BIG = "FILE-TOO-BIG", "a file is larger than 1 MB"
    FILE_ENCODING = "FILE-ENCODING", "a file is not valid UTF-8"
    FILE_EMPTY = "FILE-EMPTY", "a file holds no document"
    YAML_SYNTAX = "YAML-SYNTAX", "the text is not YAML"
    YAML_TAB = "YAML-TAB", "a tab is used for indentation"
    YAML_CONTROL = "YAML-CONTROL", "a control character or a lone surrogate in the text"
    YAML_DUPLICATE = "YAML-DUPLICATE", "a key is given twice in one mapping"
    YAML_ANCHOR = "YAML-ANCHOR", "anchors and aliases are refused"
    YAML_MERGE = "YAML-MERGE", "merge keys (<<) are refused"
    YAML_DEPTH = "YAML-DEPTH", "nesting deeper than 50"
    YAML_TAG = "YAML-TAG", "a tag other than !!str"
    YAML_VERSION = "YAML-VERSION", "a %YAML directive other than 1.1 or 1.2"
    YAML_NUMBER = "YAML-NUMBER", "a number that YAML 1.1 reads in an unexpected way (base 60, octal, underscores)"
    YAML_KEY = "YAML-KEY", "a mapping key that is not a string"
    YAML_TOP_LEVEL = "YAML-TOP-LEVEL", "a document is not a mapping"
    YAML_DOCUMENTS = "YAML-DOCUMENTS", "too many documents in one file"

    KIND_UNKNOWN = "KIND-UNKNOWN", "no such apiVersion or kind"
    KIND_IGNORED = "KIND-IGNORED", "warning: a known kind that is not emulated"
    FIELD_UNKNOWN = "FIELD-UNKNOWN", "a field that the kind does not have"
    FIELD_REQUIRED = "FIELD-REQUIRED", "a field is missing or empty"
    FIELD_TYPE = "FIELD-TYPE", "a value of the wrong type"
    FIELD_VALUE = "FIELD-VALUE", "a value that is not one of those supported, or is badly formed"
    FIELD_RANGE = "FIELD-RANGE", "a number outside its range"
    FIELD_FORBIDDEN = "FIELD-FORBIDDEN", "a field that may not be set together with the others"
    FIELD_IGNORED = "FIELD-IGNORED", "warning: a valid field that is not emulated"

    NAME_SYNTAX = "NAME-SYNTAX", "a name is not a DNS label (or subdomain)"
    NAME_DUPLICATE = "NAME-DUPLICATE", "two objects or entries have one name"
    LABEL_SYNTAX = "LABEL-SYNTAX", "a label or annotation is badly formed"
    NAMESPACE_UNDECLARED = "NAMESPACE-UNDECLARED", "warning: a namespace is used and not declared; it is made"
    REFERENCE_UNKNOWN = "REFERENCE-UNKNOWN", "a reference to an object that does not exist"
    REFERENCE_WRONG = "REFERENCE-WRONG", "a reference to an object that exists but does not fit here"
    SELECTOR_MISMATCH = "SELECTOR-MISMATCH", "a selector does not match the labels of its own template"
    SELECTOR_EMPTY = "SELECTOR-EMPTY", "warning: a selector finds nothing"

    CIDR_SYNTAX = "CIDR-SYNTAX", "not a CIDR"
    CIDR_HOST_BITS = "CIDR-HOST-BITS", "a CIDR whose address has host bits set"
    CIDR_RESERVED = "CIDR-RESERVED", "a CIDR in a range that can't be used"
    CIDR_OVERLAP = "CIDR-OVERLAP", "two ranges overlap that must not"
    CIDR_OUTSIDE = "CIDR-OUTSIDE", "a range is not inside the one it belongs to"
    CIDR_SIZE = "CIDR-SIZE", "a range is too small or too large"
    ADDRESS_SYNTAX = "ADDRESS-SYNTAX", "not an IPv4 address"
    ADDRESS_OUTSIDE = "ADDRESS-OUTSIDE", "an address is not inside its range"
    ADDRESS_RESERVED = "ADDRESS-RESERVED", "an address that nobody gets"
    ADDRESS_DUPLICATE = "ADDRESS-DUPLICATE", "one address is given to two objects"
    IPV6_UNSUPPORTED = "IPV6-UNSUPPORTED", "IPv6 where only IPv4 is emulated"

    PORT_RANGE = "PORT-RANGE", "a port outside 1-65535, or a reversed port range"
    PORT_DUPLICATE = "PORT-DUPLICATE", "one port is given twice"
    NODE_PORT_RANGE = "NODE-PORT-RANGE", "a nodePort outside 30000-32767"

    CLUSTER_MISSING = "CLUSTER-MISSING", "Kubernetes objects without a Cluster, or without saying which"
    MODEL_MISMATCH = "MODEL-MISMATCH", "a field that the cluster's network model does not have"
    FIELD_IMMUTABLE = "FIELD-IMMUTABLE", "a field that can't be changed on a running lab"
    MTU = "MTU", "an MTU that does not work"
    CAPACITY_NODES = "CAPACITY-NODES", "more nodes than addresses or blocks"
    CAPACITY_PODS = "CAPACITY-PODS", "more pods than the cluster takes"
    CAPACITY_SERVICES = "CAPACITY-SERVICES", "more Services than addresses"
    QUOTA_ROUTES = "QUOTA-ROUTES", "more routes than the route table allows"
    QUOTA_GROUPS = "QUOTA-GROUPS", "more security groups or rules than allowed"
    ROUTE_DUPLICATE = "ROUTE-DUPLICATE", "two routes of one table have the same destination"
    ROUTE_TABLE_DEFAULT = "ROUTE-TABLE-DEFAULT", "a VPC with two default route tables"
    PEERING = "PEERING", "a peering that the cloud refuses (itself, twice)"
    EIP_BOUND = "EIP-BOUND", "an elastic IP bound twice, or two bound to one object"
    NAT_RULE = "NAT-RULE", "a NAT rule that the cloud refuses (a second one for a subnet or a port)"

    SERVICE = "SERVICE", "a rule of Services beyond single fields"
    INGRESS = "INGRESS", "a rule of Ingresses beyond single fields"
    POLICY = "POLICY", "a rule of NetworkPolicies beyond single fields"
    SECRET = "SECRET", "a TLS secret that is not a certificate with its key"
    PROBE = "PROBE", "a probe that can't be run"


def render_codes() -> str:
    """The list of codes as a Markdown table."""
    rows = [f"| `{code}` | {code.meaning} |" for code in Code]
    return "\n".join(["| code | given when |", "|---|---|", *rows]) + "\n"
