"""What becomes of a packet, told by those who decide it: the switches' own ``ofproto/trace`` and the kernel.

    tracer = Tracer(view)
    trace = tracer.trace(read_question(view.memory, "web-0", "vm-1", "tcp", 8080))
    trace.verdict, trace.there.hops, trace.advice

``packet`` and ``results`` are values; ``reply``, ``actions``, ``tracking``, ``ruleset`` are pure; ``switches`` and
``kernels`` ask; ``walk`` joins their answers into one path.
"""
