"""HAProxy's configuration for a layer-7 proxy.

A request's host is compared first: ``txn.site`` becomes the host that the rules name, or ``*.`` and all but the first
label, or nothing. Then the rules of that site are tried in order. A change is a reload: a new worker takes over the
listening sockets, the old one answers what it has begun, so that no request is lost.
"""

from __future__ import annotations

from collections.abc import Iterator

from testbed.model.components import PROXY_ALIVE_PORT, VERSION, version_of
from testbed.model.planning.proxy import Certificate, Frontend, PathKind, PathRule, Proxy, ProxyBackend

NO_RULE = "no-rule"

_HEAD = f"""\
global
    user nobody
    group nogroup
    nbthread 1
    maxconn 4096
    hard-stop-after 60s
    log stdout format raw daemon info
    ssl-default-bind-options ssl-min-ver TLSv1.2

defaults
    mode http
    log global
    option httplog
    option dontlognull
    option idle-close-on-response
    option redispatch 1
    retries 10
    retry-on conn-failure empty-response
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    timeout http-request 10s

frontend alive
    bind 127.0.0.1:{PROXY_ALIVE_PORT}
    http-request return status 200 if {{ path /@version@ }}
    http-request return status 404

backend {NO_RULE}
    http-request return status 404 content-type text/plain string "no rule for this host and path\\n"
"""


def render_proxy(proxy: Proxy) -> dict[str, str]:
    """The configuration directory of the proxy workload: ``haproxy.cfg``, certificates and who sees which."""
    files: dict[str, str] = {}
    sections = [_HEAD]
    for frontend in proxy.frontends:
        files.update(_certificate_files(frontend))
        sections.append(_section(f"frontend port-{frontend.port}", _frontend(frontend)))
    sections += [_section(f"backend {backend.name}", _backend(backend)) for backend in proxy.backends]
    files["haproxy.cfg"] = "\n".join(sections)
    version = version_of(files)
    files["haproxy.cfg"] = files["haproxy.cfg"].replace("@version@", version, 1)
    return {**files, VERSION: version}


def _section(head: str, lines: Iterator[str]) -> str:
    return "\n".join([head, *(f"    {line}" for line in lines), ""])


def _frontend(frontend: Frontend) -> Iterator[str]:
    tls = f" ssl crt-list /srv/{_list_name(frontend)} alpn h2,http/1.1" if frontend.certificates else ""
    yield f"bind :{frontend.port}{tls}"
    yield "option forwardfor"
    yield f"http-request set-header X-Forwarded-Proto {'https' if tls else 'http'}"
    yield f"http-request set-header X-Forwarded-Port {frontend.port}"
    yield "http-request set-header X-Forwarded-Host %[req.hdr(host)]"
    # A request that may have been acted on is not sent again, unless to repeat it changes nothing.
    yield "http-request disable-l7-retry unless METH_GET or { method HEAD OPTIONS PUT DELETE }"
    yield "http-request set-var(txn.host) req.hdr(host),host_only,lower"
    yield "http-request set-var(txn.wild) var(txn.host),regsub(^[^.]+,*)"
    yield "http-request set-var(txn.path) path,concat(/)"
    if frontend.host_first:
        yield from _sites(frontend.rules)
    for rule in frontend.rules:
        conditions = (_at_site(rule) if frontend.host_first else _at_host(rule), _at_path(rule))
        yield " ".join(filter(None, (f"use_backend {rule.backend} if TRUE", *conditions)))
    yield f"default_backend {frontend.default or NO_RULE}"


def _sites(rules: tuple[PathRule, ...]) -> Iterator[str]:
    hosts = sorted({rule.host for rule in rules} - {""})
    for host in hosts:
        if not host.startswith("*."):
            yield f"http-request set-var(txn.site) str({host}) if {{ var(txn.host) -m str {host} }}"
    for host in hosts:
        if host.startswith("*."):
            fits = f"{{ var(txn.wild) -m str {host} }}"
            yield f"http-request set-var(txn.site) str({host}) if !{{ var(txn.site) -m found }} {fits}"


def _at_site(rule: PathRule) -> str:
    return f"{{ var(txn.site) -m str {rule.host} }}" if rule.host else "!{ var(txn.site) -m found }"


def _at_host(rule: PathRule) -> str:
    if not rule.host:
        return ""
    return f"{{ var(txn.{'wild' if rule.host.startswith('*.') else 'host'}) -m str {rule.host} }}"


def _at_path(rule: PathRule) -> str:
    match rule.kind:
        case PathKind.EXACT:
            return f"{{ path -m str {quote(rule.path)} }}"
        case PathKind.PREFIX:  # the request's path has got a slash at its end
            return f"{{ var(txn.path) -m beg {quote(rule.path.rstrip('/') + '/')} }}" if rule.path.strip("/") else ""
        case PathKind.START:
            return f"{{ path -m beg {quote(rule.path)} }}"
        case PathKind.PATTERN:
            return f"{{ path -m reg {quote(rule.path)} }}"


def quote(text: str) -> str:
    """One word of HAProxy's configuration, whatever is in it."""
    return "'" + text.replace("'", "'\\''") + "'"


def _backend(backend: ProxyBackend) -> Iterator[str]:
    yield f"balance {backend.algorithm}"
    if backend.source is not None:
        yield f"source {backend.source}"
    if backend.cookie:
        yield "cookie elb-server insert indirect nocache"
    for server in backend.servers:
        cookie = f" cookie {server.name}" if backend.cookie else ""
        yield f"server {server.name} {server.address}:{server.port}{cookie}"


def _certificate_files(frontend: Frontend) -> Iterator[tuple[str, str]]:
    if not frontend.certificates:
        return
    lines = []
    for number, certificate in enumerate(frontend.certificates):
        name = f"tls-{frontend.port}-{number}.pem"
        lines.append(" ".join((f"/srv/{name}", *certificate.hosts)))
        yield name, _pem(certificate)
    yield _list_name(frontend), "\n".join(lines) + "\n"


def _pem(certificate: Certificate) -> str:
    return certificate.pem.strip() + "\n"


def _list_name(frontend: Frontend) -> str:
    return f"tls-{frontend.port}.list"
