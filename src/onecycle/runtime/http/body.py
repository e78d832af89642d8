"""What a request holds, and what it may cost; without any web framework."""

from dataclasses import dataclass
from typing import Any


class RequestError(Exception):
    """A request that cannot be answered: an HTTP status, the reason in a sentence, headers."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


@dataclass(frozen=True)
class Limits:
    """What one request may cost the server."""

    body_bytes: int = 10_000_000
    body_seconds: float = 20.0
    pixels: int = 40_000_000
    items: int = 16  # images, texts or series
    characters: int = 100_000
    waiting: int = 64
    held_bytes: int = 200_000_000  # of all bodies that are being read or answered


@dataclass(frozen=True)
class Body:
    """One object of JSON, or else files: those of a form, or the body itself in its `charset`."""

    files: tuple[bytes, ...] = ()
    json: dict[str, Any] | None = None
    charset: str = "utf-8"
