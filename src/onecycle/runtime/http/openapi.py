"""The server's interface, described as OpenAPI 3.1."""

from typing import Any

from onecycle.runtime.http.settings import Settings
from onecycle.runtime.kinds import object_schema
from onecycle.runtime.predictor import Predictor

_PROBLEM = {
    "type": "object",
    "required": ["status", "detail"],
    "properties": {"status": {"type": "integer"}, "detail": {"type": "string"}},
}
_THRESH = {
    "name": "thresh",
    "in": "query",
    "description": "Decide above this probability",
    "schema": {"type": "number", "minimum": 0, "maximum": 1},
}
_OPEN: dict[str, Any] = {"security": []}  # without a token


def describe(predictor: Predictor, max_bytes: int, settings: Settings) -> dict[str, Any]:
    """The document for one model."""
    given, target = predictor.input, predictor.target
    problem = {
        "description": "What is wrong, as RFC 9457",
        "content": {"application/problem+json": {"schema": _PROBLEM}},
    }
    refused = {401: bool(settings.tokens), 429: settings.rate > 0}
    doors = {str(code): problem for code, used in refused.items() if used}
    faults = doors | {str(code): problem for code in (400, 408, 413, 415, 422, 503)}
    answers = {"type": "object", "properties": {"predictions": {"type": "array"}}}
    predict: dict[str, Any] = {
        "summary": f"Answers about what is sent ({given.files.what}, {target.kind})",
        "requestBody": {"required": True, "content": given.bodies(max_bytes)},
        "responses": {"200": _json("The answers", answers), **faults},
    }
    if target.takes_threshold:
        predict["parameters"] = [_THRESH]
    result = {"type": "object", "properties": {"result": {"type": "string"}}}
    analyze = {
        "summary": "One source, one answer as text",
        "requestBody": {"required": True, "content": given.bodies(max_bytes, one=True)},
        "responses": {"200": _json("The answer", result), **faults},
    }
    bearer = {"bearer": {"type": "http", "scheme": "bearer"}}
    locked = {"components": {"securitySchemes": bearer}, "security": [{"bearer": []}]}
    return {
        **(locked if settings.tokens else {}),
        "openapi": "3.1.0",
        "info": {"title": "onecycle", "version": str(predictor.about["library"])},
        "paths": {
            "/api/predict": {"post": predict},
            "/analyze": {"post": analyze},
            "/api/model": {"get": _plain("What the model is", doors)},
            "/healthz": {"get": _plain("Whether the server is alive") | _OPEN},
            "/readyz": {"get": _plain("Whether it can answer more", {"503": problem}) | _OPEN},
        },
    }


def _json(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _plain(text: str, faults: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"summary": text, "responses": {"200": _json(text, object_schema()), **(faults or {})}}
