"""The server's interface, described as OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from onecycle.runtime.inputs.series import LARGEST


def describe(about: dict[str, Any], max_bytes: int) -> dict[str, Any]:
    """The document for one model."""
    target = about["task"]["target"]
    picture: dict[str, Any] = {"type": "string", "format": "binary", "maxLength": max_bytes}
    form = _object(file={"type": "array", "items": picture, "minItems": 1})
    single = _object(file=picture)
    answer = {"type": "object", "properties": {"predictions": {"type": "array"}}}
    problem = {
        "description": "What is wrong, as RFC 9457",
        "content": {"application/problem+json": {"schema": _PROBLEM}},
    }
    faults = {str(code): problem for code in (400, 408, 413, 415, 422, 503)}
    kinds = {"file": {"contentType": ", ".join(_PICTURES)}}
    bodies = {
        "multipart/form-data": {"schema": form, "encoding": kinds},
        **{kind: {"schema": picture} for kind in _PICTURES},
    }
    alone: dict[str, Any] = {"multipart/form-data": {"schema": single, "encoding": kinds}}
    kind = about["task"]["input"]["kind"]
    if kind == "text":
        text: dict[str, Any] = {"type": "string", "maxLength": max_bytes // 4}
        several = {"type": "array", "items": text, "minItems": 1, "maxItems": 16}
        one_of = [_object(text=text) | _CLOSED, _object(texts=several) | _CLOSED]
        plain = {"text/plain": {"schema": {**text, "minLength": 1}}}
        bodies = {"application/json": {"schema": {"oneOf": one_of}}, **plain}
        alone = {"application/json": {"schema": one_of[0]}, **plain}
    elif kind == "series":
        count = about["task"]["input"]["channels"]
        number = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
        value = {"anyOf": [number, {"type": "null"}]}
        flat = {"type": "array", "items": value, "minItems": 2, "contains": {"type": "number"}}
        channels = {"type": "array", "items": flat, "minItems": count, "maxItems": count}
        several = {"type": "array", "items": channels, "minItems": 1, "maxItems": 16}
        one = [flat, channels, several] if count == 1 else [channels, several]
        csv = {"schema": {"type": "string", "minLength": 3, "maxLength": max_bytes}}
        bodies, alone = (
            {"application/json": {"schema": _object(series=series) | _CLOSED}, "text/csv": csv}
            for series in ({"anyOf": one}, {"anyOf": one[:-1]})
        )
    thresh = {
        "name": "thresh",
        "in": "query",
        "description": "Decide above this probability",
        "schema": {"type": "number", "minimum": 0, "maximum": 1},
    }
    predict: dict[str, Any] = {
        "summary": f"{_SAYS[kind]} ({target['kind']})",
        "requestBody": {"required": True, "content": bodies},
        "responses": {"200": _json("The answers", answer), **faults},
    }
    if "thresh" in target:
        predict["parameters"] = [thresh]
    result = {"type": "object", "properties": {"result": {"type": "string"}}}
    analyze = {
        "summary": "One source, one answer as text",
        "requestBody": {
            "required": True,
            "content": alone,
        },
        "responses": {"200": _json("The answer", result), **faults},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "onecycle", "version": str(about["library"])},
        "paths": {
            "/api/predict": {"post": predict},
            "/analyze": {"post": analyze},
            "/api/model": {"get": _plain("What the model is")},
            "/healthz": {"get": _plain("Whether the server is alive")},
        },
    }


_PICTURES = [f"image/{kind}" for kind in ("jpeg", "png", "webp", "gif", "bmp", "tiff")]
_CLOSED = {"additionalProperties": False}
_SAYS = {"image": "What is in pictures", "text": "What texts say", "series": "What series are"}
_PROBLEM = {
    "type": "object",
    "required": ["status", "detail"],
    "properties": {"status": {"type": "integer"}, "detail": {"type": "string"}},
}


def _object(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(fields), "properties": fields}


def _json(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _plain(text: str) -> dict[str, Any]:
    return {"summary": text, "responses": {"200": _json(text, {"type": "object"})}}
