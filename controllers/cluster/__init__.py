"""The cluster: what every node's two bridges do, as a pure function of the desired state.

``compile_cluster`` is the contents page; ``pipeline`` declares the tables and walks packets through them.
"""

from controllers.cluster.compile import compile_cluster
from controllers.cluster.pipeline import BR_EX, BR_INT

__all__ = ["BR_EX", "BR_INT", "compile_cluster"]
