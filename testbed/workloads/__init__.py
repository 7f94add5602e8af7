"""What runs in pods, servers and internet hosts: the kubelet, the image catalogue, the echo server, DNS, proxies."""
