"""Loaded by every Python that has this folder on PYTHONPATH: notes and refuses network access.

What it notes goes to the file that NETWORK_ATTEMPTS names.
"""

import os
import sys
from pathlib import Path

ATTEMPTS = os.environ.get("NETWORK_ATTEMPTS")
EVENTS = {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}


def refuse(event: str, arguments: tuple) -> None:
    """Audit hook: addresses of Unix sockets are paths, which are no network."""
    if event not in EVENTS or isinstance(arguments[-1], str | bytes):
        return
    subject = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
    with Path(ATTEMPTS).open("a") as file:
        file.write(f"{event} {subject} by {' '.join(sys.argv)[:200]}\n")
    raise PermissionError(f"the network is blocked: {event} {subject}")


if ATTEMPTS:
    sys.addaudithook(refuse)
