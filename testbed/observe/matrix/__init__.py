"""Everyone to everyone: what should get through, by the documents that the lab was made of, beside what does.

``cloud``, ``clusters`` and ``expected`` are pure and know nothing of flows: they say what the cloud's rules and the
network models promise. ``members`` is who takes part, ``look`` sends the packets and lays one beside the other.
"""
