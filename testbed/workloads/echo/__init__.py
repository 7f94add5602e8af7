"""The echo server: says who answered whom, over HTTP, plain TCP and UDP on the same port numbers.

HTTP/1.1 with keep-alive. Every path that is not listed answers ``200`` with one JSON object (or ``name: value``
lines for ``Accept: text/plain``)::

    {"name": "web-0", "namespace": "shop", "node": "n1",          who answered
     "client": "10.0.0.16:40000", "server": "10.0.0.17:8080",     the connection's two ends as the server sees them
     "method": "GET", "path": "/x?y=1", "headers": {"Host": ...}, repeated headers are joined by ", "
     "requests": 7, "connection_requests": 2}                     counted per process, per connection

    GET  /healthz /livez        200, or 503 after POST /fail?what=live
    GET  /readyz                200, or 503 after POST /fail and while terminating
    POST /fail[?what=live]  POST /recover
    GET  /hostname  /clientip  /echo?msg=TEXT  /status?code=N
    GET  /delay?ms=N            answers after N ms
    GET  /bytes?n=N             N zero bytes
    GET  /stream?ms=N&n=M       M lines (default: for ever), one each N ms, chunked
    POST /exit?code=N           the process ends

Plain TCP (the first line is no HTTP request line): the first line is answered with ``NAME CLIENT COUNTER``, every
later line with itself. UDP: ``NAME CLIENT COUNTER`` and a newline, then the datagram itself; the answer leaves from
the address that was asked.

SIGTERM: ``/readyz`` fails at once, new connections are still taken for ``DRAIN_SECONDS`` (environment, default
0.5), then requests in progress are finished, idle connections closed, and the process ends. A connection whose first
byte has not come is not idle before it is five seconds old.

Standard library only, and little of it: this module is what a thousand pods run.
"""
