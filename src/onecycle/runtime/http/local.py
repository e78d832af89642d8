"""Pages of this machine for its own user: who may ask them, and how they are served."""

import asyncio
import hmac
import secrets
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

HERE = ("127.0.0.1", "localhost")


def own_page_only(hosts: Sequence[str] = HERE) -> list[Middleware]:
    """What lets in requests that name one of `hosts` and come from the page's own origin."""
    known = Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    return [known, Middleware(_refuse_other_pages)]


def _refuse_other_pages(app: ASGIApp) -> ASGIApp:
    """The application for its own page alone: what another site's page asks for is refused.

    A link to this page may be followed. Programs that are no browsers say nothing of where they
    ask from.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        own = f"http://{headers.get('host')}"
        from_here = headers.get("sec-fetch-site", "none") in {"none", "same-origin"}
        followed = headers.get("sec-fetch-dest") == "document" and scope.get("path") == "/"
        if headers.get("origin", own) == own and (from_here or followed):
            await app(scope, receive, send)
        else:
            await PlainTextResponse("another page asked", 403)(scope, receive, send)

    return answer


class Door:
    """Middleware that wants a token: once in the address, from then on in a cookie.

    The address without it is answered at once, so that it does not stay in the history.
    """

    cookie = "onecycle"

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        given = request.query_params.get("token", "")
        if given and self._fits(given):
            reply: Response = RedirectResponse(request.url.path, 303)
            name = f"{self.cookie}-{request.url.port or 80}"  # cookies do not know of ports
            reply.set_cookie(name, self.token, httponly=True, samesite="strict")
            await reply(scope, receive, send)
        elif self._fits(request.cookies.get(f"{self.cookie}-{request.url.port or 80}", "")):
            await self.app(scope, receive, send)
        else:
            text = "Open the address that the terminal shows: it holds a token."
            await PlainTextResponse(text, 403)(scope, receive, send)

    def _fits(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


def new_token() -> str:
    """A token nobody guesses."""
    return secrets.token_urlsafe(18)


def serve_here(app: Any, host: str, port: int) -> None:
    """Serve an ASGI application in this process until Ctrl-C or SIGTERM."""
    from granian.constants import Interfaces
    from granian.server.embed import Server

    server = Server(app, host, port, interface=Interfaces.ASGI, log_enabled=False)

    async def until_stopped() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows: Ctrl-C ends the loop by itself
                asyncio.get_running_loop().add_signal_handler(number, server.stop)
        await server.serve()

    asyncio.run(until_stopped())
