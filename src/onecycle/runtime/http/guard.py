"""Before a request is read: whether its client may ask, and how often."""

import hmac
import time
from base64 import b64decode
from collections.abc import Callable
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from onecycle.runtime.http.requests import problem
from onecycle.runtime.http.settings import Settings

PROBES = ("/healthz", "/readyz")  # of the machinery that starts and stops servers


class Rate:
    """Lets every client ask `a_minute` times a minute: a bucket each, which refills steadily.

    Of more than `most` clients, those that asked longest ago are forgotten.
    """

    def __init__(
        self, a_minute: int, most: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.a_minute, self.most, self.clock = a_minute, most, clock
        self.buckets: dict[str, tuple[float, float]] = {}  # what is left, and when that was

    def wait(self, client: str) -> float:
        """Seconds until the client may ask; 0 takes one request out of its bucket."""
        now = self.clock()
        left, then = self.buckets.pop(client, (float(self.a_minute), now))
        left = min(self.a_minute, left + (now - then) * self.a_minute / 60)
        allowed = left >= 1
        self.buckets[client] = left - allowed, now  # last, so that the first is the eldest
        if len(self.buckets) > self.most:
            del self.buckets[next(iter(self.buckets))]
        return 0.0 if allowed else (1 - left) * 60 / self.a_minute


def client_of(headers: Headers, peer: str, proxies: int) -> str:
    """The address that a request comes from; of IPv6 its network, of which one client has all.

    Each proxy adds the address that it sees at the end of X-Forwarded-For; what stands before the
    entries of the `proxies` that are one's own, anybody can have written.
    """
    hops = [hop for line in headers.getlist("x-forwarded-for") for hop in line.split(",")]
    named = hops[-proxies].strip() if 0 < proxies <= len(hops) else peer
    for text in (named, named.rpartition(":")[0].strip("[]"), peer):  # some proxies add the port
        try:
            address = ip_address(text)
        except ValueError:
            continue
        if isinstance(address, IPv6Address):
            inside = address.ipv4_mapped
            return str(inside or ip_network((int(address), 64), strict=False))
        return str(address)
    return ""


class Guard:
    """Refuses with 429 whoever asks too often, and with 401 whoever has no token."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.proxies = app, settings.proxies
        self.digests = [sha256(token.encode()).digest() for token in settings.tokens]
        self.rate = Rate(settings.rate) if settings.rate else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self.app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if scope["path"] in PROBES:
            return None
        headers = Headers(scope=scope)
        if self.rate is not None:  # before the token: a guess is a request as well
            wait = self.rate.wait(
                client_of(headers, (scope.get("client") or ("",))[0], self.proxies)
            )
            if wait > 0:
                detail = f"more than {self.rate.a_minute} requests a minute"
                return problem(429, detail, {"Retry-After": str(ceil(wait))})
        if self.digests and not self._knows(headers.get("authorization", "")):
            programs = scope["path"].startswith(("/api/", "/analyze"))
            # A browser asks its user for the password of Basic, which programs have no use for.
            wanted = "Bearer" if programs else 'Basic realm="onecycle", charset="UTF-8"'
            detail = "a token is wanted: Authorization: Bearer TOKEN, or in a browser the password"
            return problem(401, detail, {"WWW-Authenticate": wanted})
        return None

    def _knows(self, authorization: str) -> bool:
        """Whether the header holds a token; as long in coming whatever is wrong with it."""
        kind, _, value = authorization.partition(" ")
        if kind.lower() == "basic":
            try:
                value = b64decode(value, validate=True).decode().partition(":")[2]
            except ValueError:
                return False
        elif kind.lower() != "bearer":
            return False
        digest = sha256(value.strip().encode()).digest()
        return sum(hmac.compare_digest(digest, known) for known in self.digests) > 0
