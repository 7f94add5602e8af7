"""A laboratory for cloud container networks, made of real packets on one Linux machine."""
