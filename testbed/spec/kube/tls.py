"""Whether a certificate and a key belong together, asked of OpenSSL. Neither is written to a disk."""

from __future__ import annotations

import os
import ssl


def pair_problem(certificate: str, key: str) -> str:
    """Why OpenSSL refuses the two PEM texts, in its words; nothing where it takes them."""
    descriptor = os.memfd_create("pair", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, f"{certificate.strip()}\n{key.strip()}\n".encode())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: "")
    except ssl.SSLError as error:
        return (error.reason or "unreadable").lower().replace("_", " ")
    finally:
        os.close(descriptor)
    return ""
