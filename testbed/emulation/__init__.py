"""The only code that changes namespaces, links, Open vSwitch and processes, and the lab's state on disk.

Contents: ``realise`` (make the machine as a wiring says), ``teardown`` (take a lab away), ``changes`` (what has to
change, pure), ``processes`` (programs in namespaces), ``mininet_net`` (the lab as a Mininet network), ``doctor`` (what
this machine lacks), ``snapshot`` (what a machine looks like, to prove that nothing was left).
"""
