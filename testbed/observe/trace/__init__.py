"""What becomes of a packet, told by those who decide it: the switches' own ``ofproto/trace`` and the kernel.

    with tracing(view) as tracer:
        trace = tracer.trace(read_question(view, "web-0", "vm-1", "tcp", 8080, "default"))
    trace.verdict, trace.there.hops, trace.advice

``packet`` and ``results`` are values; ``reply``, ``actions``, ``tracking``, ``ruleset``, ``proxy`` and ``misses`` are
pure; ``switches`` and ``kernels`` ask; ``walk`` joins their answers into one path; ``live`` sends a real packet.
"""
