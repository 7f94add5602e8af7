"""The image catalogue: which program of this machine stands for a container image.

No image is ever pulled. A pattern is compared with the image's own name, without registry, path, tag and digest
(``docker.io/library/nginx:1.27`` is ``nginx``), then with the path (``jmalloc/echo-server``). As in an image,
``entrypoint`` is replaced by the container's ``command`` and ``cmd`` by its ``args``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from testbed.model.kubernetes import Container, ContainerPort, Labels
from testbed.model.workloads import Workload

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Kind(StrEnum):
    PAUSE = "pause"  # no process at all: the namespace is held by its name
    ECHO = "echo"  # the echo server, forked from the runtime
    EXEC = "exec"  # a program of this machine


@dataclass(frozen=True, slots=True)
class Image:
    patterns: tuple[str, ...]
    kind: Kind
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    ports: tuple[ContainerPort, ...] = ()


CATALOGUE = (
    Image(("pause", "pause-*"), Kind.PAUSE),
    Image(("nginx*", "httpd*", "caddy*", "apache*", "traefik*"), Kind.ECHO, ports=(ContainerPort(80),)),
    Image(("agnhost",), Kind.ECHO, entrypoint=("agnhost",), cmd=("pause",)),
    Image(
        ("*echo*", "whoami", "*hello*", "podinfo", "httpbin", "*serve-hostname*"),
        Kind.ECHO,
        ports=(ContainerPort(8080), ContainerPort(8080, "UDP")),
    ),
    Image(("iperf3*", "*-iperf3"), Kind.EXEC, ("iperf3",), ("-s",)),
    Image(
        ("busybox*", "netshoot*", "alpine*", "debian*", "ubuntu*", "bash", "curl*", "toolbox*", "dnsutils*",
         "network-multitool*", "shell*", "python"),
        Kind.PAUSE,
    ),
)  # fmt: skip
UNKNOWN = Image((), Kind.ECHO, ports=(ContainerPort(8080), ContainerPort(8080, "UDP")))


@dataclass(frozen=True, slots=True)
class Program:
    """What to start for one container.

    ``argv`` is empty unless ``kind`` is EXEC. ``ports`` are what the echo server listens on. ``notice`` says what
    differs from the image that was asked for.
    """

    kind: Kind
    argv: tuple[str, ...] = ()
    env: Labels = ()
    ports: tuple[ContainerPort, ...] = field(default=())
    notice: str = ""


def plan_program(container: Container, workload: Workload) -> Program:
    """The program that ``container`` of ``workload`` runs, with its whole environment."""
    image, known = find_image(container.image)
    env = plan_environment(container, workload)
    expand = dict(env)
    command = tuple(expand_variables(word, expand) for word in container.command)
    args = tuple(expand_variables(word, expand) for word in container.args)
    if command:
        return Program(Kind.EXEC, command + args, env)
    if image.entrypoint == ("agnhost",):
        return _plan_agnhost(args, container, env)
    if image.kind is Kind.EXEC:
        return Program(Kind.EXEC, image.entrypoint + (args or image.cmd), env)
    if image.kind is Kind.PAUSE:
        if args and image.patterns[0] != "pause":  # an image of tools, without an entrypoint
            return Program(Kind.EXEC, args, env)
        return Program(Kind.PAUSE, (), env)
    ports = container.ports or image.ports
    notice = "" if known else _notice(container.image, ports)
    return Program(Kind.ECHO, (), env, ports, notice)


def find_image(reference: str) -> tuple[Image, bool]:
    """The catalogue's entry for an image reference, and whether there is one."""
    path = re.sub(r"(:[^/:@]*)?(@[^/]*)?$", "", reference.lower())
    name = path.rsplit("/", 1)[-1]
    for image in CATALOGUE:
        if any(fnmatchcase(text, pattern) for pattern in image.patterns for text in (name, path)):
            return image, True
    return UNKNOWN, False


def plan_environment(container: Container, workload: Workload) -> Labels:
    """PATH, HOME, HOSTNAME and the container's ``env``; a value may use ``$(NAME)`` of what stands before it."""
    env = {"PATH": PATH, "HOME": "/", "HOSTNAME": workload.hostname or workload.name}
    for name, value in container.env:
        env[name] = expand_variables(value, env)
    return tuple(env.items())


_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")


def expand_variables(text: str, env: dict[str, str]) -> str:
    """Kubernetes' ``$(NAME)``: an unknown name stays as it is, ``$$(NAME)`` is the text ``$(NAME)``."""

    def replace(found: re.Match[str]) -> str:
        if found[1] is None:
            return "$"
        return env.get(found[1], found[0])

    return _REFERENCE.sub(replace, text)


def _notice(image: str, ports: tuple[ContainerPort, ...]) -> str:
    listing = ", ".join(f"{port.port}/{port.protocol}" for port in ports)
    return f"image {image} is not in the catalogue: the echo server answers on {listing}"


def _plan_agnhost(args: tuple[str, ...], container: Container, env: Labels) -> Program:
    """Kubernetes' test image: ``netexec`` and ``serve-hostname`` listen, everything else pauses."""
    verb, options = (args or ("pause",))[0], args[1:]
    if verb not in ("netexec", "serve-hostname"):
        notice = "" if verb == "pause" else f"agnhost {verb} is not emulated: the container pauses"
        return Program(Kind.PAUSE, (), env, notice=notice)
    default = "9376" if verb == "serve-hostname" else "8080"
    tcp = ContainerPort(int(_option(options, "http-port") or _option(options, "port") or default))
    udp = ContainerPort(int(_option(options, "udp-port") or "8081"), "UDP")
    named = tuple(port for port in container.ports if (port.port, port.protocol) not in
                  ((tcp.port, "TCP"), (udp.port, "UDP")))  # fmt: skip
    return Program(Kind.ECHO, (), env, (tcp, udp, *named))


def _option(options: tuple[str, ...], name: str) -> str:
    for position, option in enumerate(options):
        if option in (f"--{name}", f"-{name}"):
            return "".join(options[position + 1 : position + 2])
        if option.startswith((f"--{name}=", f"-{name}=")):
            return option.partition("=")[2]
    return ""
