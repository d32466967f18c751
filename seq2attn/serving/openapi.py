"""The description of the API in OpenAPI 3.1, written by hand. A test compares it with the routes."""

from typing import Any

from seq2attn.serving.forms import MULTIPART, URL_ENCODED
from seq2attn.serving.limits import Limits
from seq2attn.version import __version__

_JSON = "application/json"
_TEXT = {"type": "string"}
_NUMBERS = {"type": ["array", "null"], "items": {"type": "array", "items": {"type": "number"}}}
_ERROR = {"type": "object", "required": ["error"], "properties": {"error": _TEXT}}


def description(limits: Limits) -> dict[str, Any]:
    """The whole description. The limits stand in it."""
    texts = {"oneOf": [_TEXT, {"type": "array", "items": _TEXT, "maxItems": limits.texts}]}
    run = {"type": "string", "description": "Name of a run; default: the first that fits."}
    key = {"type": "string", "description": "API key, where the server needs one."}
    language = _object({"code": _TEXT, "name": _TEXT, "targets": {"type": "array", "items": _TEXT}})
    guess = _object({"confidence": {"type": "number", "description": "Percent."}, "language": _TEXT})
    served = _object({"name": _TEXT, "kind": {"enum": ["text", "images"]}, "model": _TEXT, "beam": _whole()})
    paths = {
        "/languages": {"get": _operation("Languages and what they are translated to.", _list(language))},
        "/translate": {
            "post": _operation(
                "Translate a text or several. Line breaks, blank lines and HTML markup stay.",
                _object(
                    {
                        "translatedText": texts,
                        "alternatives": {"type": "array"},
                        "detectedLanguage": {"oneOf": [guess, _list(guess)]},
                        "truncatedTokens": _whole("Subwords that were not read: a sentence was too long."),
                    }
                ),
                _fields(
                    {
                        "q": texts,
                        "source": {"type": "string", "description": "Code of a language, or auto."},
                        "target": _TEXT,
                        "format": {"enum": ["text", "html"], "default": "text"},
                        "alternatives": _whole(maximum=limits.alternatives),
                        "run": run,
                        "api_key": key,
                    },
                    ["q", "source", "target"],
                ),
            )
        },
        "/detect": {
            "post": _operation(
                "Which of the languages that are served a text is in.",
                _list(guess),
                _fields({"q": texts, "api_key": key}, ["q"]),
            )
        },
        "/frontend/settings": {"get": _operation("What a web page of the protocol asks first.", _object({}))},
        "/caption": {
            "post": _operation(
                "Describe a picture or a clip. Attention: words by positions, row by row of the grid.",
                _object(
                    {
                        "run": _TEXT,
                        "caption": _TEXT,
                        "words": _list(_TEXT),
                        "log_probability": {"type": "number"},
                        "attention": _NUMBERS,
                        "grid": {"type": ["array", "null"], "items": {"type": "integer"}},
                    }
                ),
                _picture(limits),
                _query({"run": run, "beam": _whole(), "attention": {"enum": ["mean", "all", "none"]}}),
            )
        },
        "/explain": {
            "post": _operation(
                "One output with its attention by layer and head, candidates of each step and the beam.",
                _object({"format": _whole(), "run": _TEXT, "source": {}, "target": {}, "attention": {}}),
                _fields(
                    {
                        "text": _TEXT,
                        "run": run,
                        "prefix": _list(_whole()),
                        "beam": _whole(),
                        "mask": _list(_whole()),
                        "attend": {"type": "object", "additionalProperties": {"type": "number"}},
                        "uniform": {"oneOf": [{"const": "all"}, _list(_list(_whole()))]},
                        "temperature": {"type": "number"},
                        "normaliser": _TEXT,
                        "parts": _list(_TEXT),
                        "api_key": key,
                    },
                    ["text"],
                )
                | _picture(limits),
                _query({"request": {"type": "string", "description": "JSON of the fields, for a picture."}}),
            )
        },
        "/runs": {"get": _operation("The runs by name.", _list(served))},
        "/health": {"get": _operation("Whether the server answers.", _object({"status": {"const": "ok"}}))},
        "/metrics": {"get": _operation("Counters for Prometheus.", {"type": "string"}, kind="text/plain")},
        "/openapi.json": {"get": _operation("This description.", _object({}))},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "seq2attn",
            "version": __version__,
            "description": "The LibreTranslate protocol, captions and explanations of trained runs. An error "
            f'is {{"error": "..."}} with a status from 400. At most '
            f"{limits.characters:,} characters a request.",
        },
        "paths": paths,
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _whole(description: str = "", maximum: int | None = None) -> dict[str, Any]:
    facts = {"type": "integer", "description": description or None, "maximum": maximum}
    return {name: value for name, value in facts.items() if value is not None}


def _fields(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = _object(properties) | {"required": required}
    return {kind: {"schema": schema} for kind in (_JSON, URL_ENCODED, MULTIPART)}


def _picture(limits: Limits) -> dict[str, Any]:
    file = {"type": "string", "format": "binary", "maxLength": limits.upload}
    return {"image/*": {"schema": file}, "application/octet-stream": {"schema": file}}


def _query(properties: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _operation(
    summary: str,
    answer: dict[str, Any],
    body: dict[str, Any] | None = None,
    parameters: list[dict[str, Any]] | None = None,
    kind: str = _JSON,
) -> dict[str, Any]:
    problem = {"description": "What is wrong, in one line.", "content": {_JSON: {"schema": _ERROR}}}
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "Done.", "content": {kind: {"schema": answer}}},
            "default": problem,
        },
    }
    if parameters is not None:
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    return operation
