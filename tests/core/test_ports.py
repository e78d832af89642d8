"""Ports that a server would share or may not have are refused."""

import errno
import socket

import pytest

from onecycle.core.errors import UsageError
from onecycle.core.machine import require_free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1"])
def test_a_port_that_listens_is_in_use_and_is_free_again_when_closed(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        first = socket.create_server((host, 0), family=family, reuse_port=True)
    except OSError:
        pytest.skip(f"{host} is not here")
    port = first.getsockname()[1]
    with first, pytest.raises(UsageError, match=f"port {port} is in use: give another"):
        require_free_port(host, port)
    require_free_port(host, port)


def test_a_port_that_may_not_be_bound_and_a_host_that_is_not_here_are_told(monkeypatch):
    with pytest.raises(UsageError, match=r"port 80 of 203\.0\.113\.1 cannot be used"):
        require_free_port("203.0.113.1", 80)

    def refused(*args, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refused)
    with pytest.raises(UsageError, match=r"port 80 of 127\.0\.0\.1 .*Permission denied.*--port"):
        require_free_port("127.0.0.1", 80)
