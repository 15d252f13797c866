"""What the OpenAPI document says of who asks: the credential that a mode takes, or the user in the body."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from serve_app.api_models import ChatRequest, ClearRequest, FeedbackRequest
from serve_app.auth.middleware import is_open

Document = dict[str, Any]

NAMES_ITS_USER = (ChatRequest, ClearRequest, FeedbackRequest)
# Answers of the gate, which stands only where credentials are asked for.
OF_THE_GATE = ("401", "429")
SCHEMES: dict[str, dict[str, Document]] = {
    "api_keys": {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    },
    "jwt": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
}


def document_callers(app: FastAPI, mode: str) -> None:
    """Have the app's document say who must be told, and how, where ``auth.mode`` is ``mode``."""
    plain: Callable[[], Document] = app.openapi

    def with_callers() -> Document:
        # FastAPI keeps the document it made; one that was changed already changes no more.
        document = plain()
        if mode == "none":
            _without_gate(document)
        else:
            _with_gate(document, SCHEMES[mode])
        return document

    app.openapi = with_callers  # type: ignore[method-assign]


def _without_gate(document: Document) -> None:
    """Bodies must name their user, and nobody is refused for a credential."""
    for model in NAMES_ITS_USER:
        body = document["components"]["schemas"].get(model.__name__)
        if body is not None and "user_id" not in body["required"]:
            body["required"].append("user_id")
            field = body["properties"]["user_id"]
            field.update(next(kind for kind in field.pop("anyOf") if kind["type"] == "string"))
    for operation in _operations(document, lambda path: True):
        for status in OF_THE_GATE:
            operation["responses"].pop(status, None)


def _with_gate(document: Document, schemes: dict[str, Document]) -> None:
    document["components"]["securitySchemes"] = schemes
    for operation in _operations(document, lambda path: not is_open(path)):
        operation["security"] = [{name: []} for name in schemes]


def _operations(document: Document, wanted: Callable[[str], bool]) -> list[Document]:
    return [
        operation for path, item in document["paths"].items() if wanted(path) for operation in item.values()
    ]
