"""kube-proxy as flows: a Service's address becomes an endpoint's, and back."""
