"""A port of this machine: whether it is free, before a server that would share it is started."""

from __future__ import annotations

import errno
import socket

from onecycle.core.errors import UsageError


def require_free_port(host: str, port: int) -> None:
    """Raise UsageError where `host:port` cannot be listened on; two servers may not share one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()  # without SO_REUSEPORT
    except OSError as error:
        used = error.errno == errno.EADDRINUSE
        why = "is in use" if used else f"of {host} cannot be used ({error.strerror or error})"
        raise UsageError(f"port {port} {why}: give another with --port") from error
