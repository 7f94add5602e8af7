"""``lab perf``: the network models on the same workload, beside a raw veth pair and plain bridges of the same run.

``results`` are the values and their file, ``tools`` what iperf3, sockperf and wrk are asked and say, ``statistics``,
``conditions``, ``targets``, ``words`` and ``compare`` judge (all pure); ``subjects``, ``plain``, ``measuring``,
``surroundings`` and ``facts`` touch the machine; ``run`` is the contents page.
"""
