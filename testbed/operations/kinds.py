"""Kinds of objects and what users call them, with Kubernetes' habits: plural, singular and short names."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from testbed.operations.errors import BadRequestError

CLOUD = "cnlab.dev"


@dataclass(frozen=True, slots=True)
class Kind:
    """``document`` False: the lab makes such objects itself, no document of the user's is about one."""

    name: str
    group: str
    plural: str
    short: tuple[str, ...] = ()
    namespaced: bool = False
    document: bool = True

    @property
    def words(self) -> tuple[str, ...]:
        """Everything that a user may call it, in lower case."""
        return (self.plural, self.name.lower(), *self.short)


KINDS: tuple[Kind, ...] = (
    Kind("Node", "", "nodes", ("no",), document=False),
    Kind("Pod", "", "pods", ("po",), namespaced=True),
    Kind("Deployment", "apps", "deployments", ("deploy",), namespaced=True),
    Kind("StatefulSet", "apps", "statefulsets", ("sts",), namespaced=True),
    Kind("Service", "", "services", ("svc",), namespaced=True),
    Kind("EndpointSlice", "discovery.k8s.io", "endpointslices", ("eps",), namespaced=True),
    Kind("Ingress", "networking.k8s.io", "ingresses", ("ing",), namespaced=True),
    Kind("Secret", "", "secrets", (), namespaced=True),
    Kind("NetworkPolicy", "networking.k8s.io", "networkpolicies", ("netpol",), namespaced=True),
    Kind("Namespace", "", "namespaces", ("ns",)),
    Kind("Cluster", CLOUD, "clusters", ("cl",)),
    Kind("Vpc", CLOUD, "vpcs", ()),
    Kind("Subnet", CLOUD, "subnets", ("sn",)),
    Kind("RouteTable", CLOUD, "routetables", ("rt",)),
    Kind("Route", "", "routes", (), document=False),
    Kind("SecurityGroup", CLOUD, "securitygroups", ("sg",)),
    Kind("VpcPeering", CLOUD, "vpcpeerings", ("peering", "peerings")),
    Kind("NatGateway", CLOUD, "natgateways", ("nat",)),
    Kind("ElasticIP", CLOUD, "elasticips", ("eip", "eips")),
    Kind("LoadBalancer", CLOUD, "loadbalancers", ("elb", "elbs", "lb")),
    Kind("Eni", "", "enis", (), document=False),
    Kind("Server", CLOUD, "servers", ("srv",)),
    Kind("InternetHost", CLOUD, "internethosts", ("ih", "hosts")),
)

_BY_WORD = {word: kind for kind in KINDS for word in kind.words}


def find_kind(word: str) -> Kind:
    """The kind that a user's word names. Raises ``BadRequestError`` with the nearest one."""
    kind = _BY_WORD.get(word.lower())
    if kind is None:
        near = get_close_matches(word.lower(), _BY_WORD, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(kind.plural for kind in KINDS)}"
        raise BadRequestError(f"there is no kind {word!r}; {hint}")
    return kind
