"""Documents that scenarios apply again and again, one YAML document each."""

from __future__ import annotations

ELASTIC_IP = """
apiVersion: cnlab.dev/v1
kind: ElasticIP
metadata: {{name: {name}}}
spec: {{address: {address}{bound}}}
"""

SECURITY_GROUP = """
apiVersion: cnlab.dev/v1
kind: SecurityGroup
metadata: {{name: {name}}}
spec: {{vpc: {vpc}, ingress: [{ingress}]}}
"""

PAUSING = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{{node}containers: [{{name: pause, image: pause}}]}}
"""

HOST_NETWORK = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  nodeName: {node}
  hostNetwork: true
  containers: [{{name: echo, image: echo, ports: [{{containerPort: {port}}}]}}]
"""

PEERED_CLUSTER = """
apiVersion: cnlab.dev/v1
kind: Cluster
metadata: {{name: demo}}
spec:
  networkModel: vpc
  vpc: demo
  nodeSubnet: nodes
  containerCIDR: 172.16.0.0/16
  podSubnets: [pods]
  masters: 1
{more}  nodePools:
  - name: node
    names: [{nodes}]
"""


def peered_cluster(nodes: str = "n1, n2", more: str = "") -> str:
    """The cluster of ``topologies/peered.yaml`` in the VPC network, written out for a user to read.

    ``more`` is a line of its ``spec``.
    """
    return PEERED_CLUSTER.format(nodes=nodes, more=f"  {more}\n" if more else "")


def elastic_ip(name: str, address: str, **bound_to: str) -> str:
    """An elastic IP, bound to nothing or to one thing: ``node="n1"``, ``pod="web-0"``, ``loadBalancer="elb"``."""
    bound = "".join(f", boundTo: {{{kind}: {target}}}" for kind, target in bound_to.items())
    return ELASTIC_IP.format(name=name, address=address, bound=bound)


def security_group(name: str, *ingress: str, vpc: str = "demo") -> str:
    """A group, one that a cluster made for itself too, with these inbound rules (``{cidr: 10.0.0.0/8}``) and no
    others; everything may leave."""
    return SECURITY_GROUP.format(name=name, vpc=vpc, ingress=", ".join(ingress))


def pausing(name: str, replicas: int, node: str = "") -> str:
    """A Deployment of pods that run nothing, labelled ``app: NAME``; on one node or wherever there is room."""
    return PAUSING.format(name=name, replicas=replicas, node=f"nodeName: {node}, " if node else "")


def host_network_pod(name: str, node: str, port: int) -> str:
    """An echo server in the namespace of its node."""
    return HOST_NETWORK.format(name=name, node=node, port=port)
