"""What whoever runs a server decides: who may ask, how often, and what the log keeps."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onecycle.core.errors import UsageError, listing

_TOKEN = re.compile(r"[\x21-\x7e]{16,200}")
_ORIGIN = re.compile(r"\*|https?://[\w.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")
_YES, _NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


@dataclass(frozen=True)
class Settings:
    """Everybody may ask as often as they like, unless this says otherwise.

    `tokens`: any of them opens the server, and /healthz and /readyz need none. `rate`: requests a
    minute of one client, 0 for no limit. `proxies`: how many stand in front of the server, whose
    entries in X-Forwarded-For say who the client is; 0 where clients connect themselves. `origins`:
    other sites whose pages may ask. `log_requests`: one line of JSON a request. Raises UsageError
    for values that cannot be meant.
    """

    tokens: tuple[str, ...] = field(default=(), repr=False)
    rate: int = 0
    proxies: int = 0
    origins: tuple[str, ...] = ()
    log_requests: bool = False

    def __post_init__(self) -> None:
        if not all(_TOKEN.fullmatch(token) for token in self.tokens):
            raise UsageError(  # which one is not said: messages end up in logs
                "a token is 16 to 200 visible characters without blanks: `openssl rand -hex 16` "
                "makes one"
            )
        if min(self.rate, self.proxies) < 0:
            raise UsageError(f"rate {self.rate} and proxies {self.proxies} are 0 or more")
        if wrong := [origin for origin in self.origins if not _ORIGIN.fullmatch(origin)]:
            raise UsageError(
                f"{listing(wrong)} is no origin: one is scheme and host, as in https://www.example.org"
            )

    @classmethod
    def from_environment(
        cls, given: Mapping[str, Any] | None = None, env: Mapping[str, str] = os.environ
    ) -> Settings:
        """What ONECYCLE_TOKENS, _RATE, _PROXIES, _ORIGINS and _LOG_REQUESTS say.

        Several values have blanks between them. `given` comes before the environment, except None.
        """
        found: dict[str, Any] = {
            "tokens": tuple(env.get("ONECYCLE_TOKENS", "").split()),
            "rate": _whole(env, "ONECYCLE_RATE"),
            "proxies": _whole(env, "ONECYCLE_PROXIES"),
            "origins": tuple(env.get("ONECYCLE_ORIGINS", "").split()),
            "log_requests": _flag(env, "ONECYCLE_LOG_REQUESTS"),
        }
        return cls(**found | {k: v for k, v in (given or {}).items() if v is not None})


def _whole(env: Mapping[str, str], name: str) -> int:
    text = env.get(name, "").strip() or "0"
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"{name} is a whole number, not {text[:40]!r}")
    return int(text)


def _flag(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "").strip().lower()
    if text not in _YES + _NO:
        raise UsageError(f"{name} is 1 or 0, not {text[:40]!r}")
    return text in _YES
