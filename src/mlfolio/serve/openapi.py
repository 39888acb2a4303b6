"""OpenAPI as it is now: a path for each served system, with its schema and real examples."""

from __future__ import annotations

import copy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mlfolio.core.inputs import file_fields
from mlfolio.core.model import Conversation, Indexes, Streams, Tenants
from mlfolio.serve.documents import METADATA
from mlfolio.serve.fleet import Fleet, Served
from mlfolio.serve.requests import most_inputs
from mlfolio.serve.settings import MAX_EXPLAINED, Settings

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "fix": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}
_STATUSES = ("400", "401", "403", "404", "408", "413", "415", "422", "429", "503", "504")
_GENERIC = "/v1/systems/{name}"


def describe(app: FastAPI) -> dict[str, Any]:
    """The description of an application and of the models that it serves at this moment."""
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    fleet: Fleet = app.state.service.fleet
    paths: dict[str, Any] = {}
    for path, item in document["paths"].items():
        if not path.startswith(_GENERIC):
            paths[path] = item
            continue
        for served in fleet:
            if _offers(served, path):
                concrete = path.replace("{name}", served.card.slug)
                paths[concrete] = _concrete(item, path, served, schemas, app.state.settings)
    for item in paths.values():
        for operation in item.values():
            for status in _STATUSES:
                operation["responses"][status] = {
                    "description": "A problem (RFC 9457)",
                    "content": {
                        "application/problem+json": {
                            "schema": {"$ref": "#/components/schemas/Problem"}
                        }
                    },
                }
    document["paths"] = paths
    _describe_conversations(schemas, fleet)
    return document


def _describe_conversations(schemas: dict[str, Any], fleet: Fleet) -> None:
    """What conversations may have beside their messages, system by system."""
    kinds = []
    for served in fleet:
        if isinstance(served.model, Streams):
            schema = served.model.conversation_type.model_json_schema(by_alias=True)
            for name in Conversation.model_fields:
                del schema["properties"][name]
                schema["required"].remove(name)
            schema.get("$defs", {}).pop("Message", None)
            kinds.append(_adopt(schema, served, "Talk", schemas))
    if kinds:
        field = schemas["ChatRequest"]["properties"]["mlfolio"]
        field |= {"anyOf": kinds}


def _offers(served: Served, path: str) -> bool:
    if "/documents" in path:
        return isinstance(served.model, Indexes)
    return not path.endswith("/explain") or served.reasons is not None


def _concrete(
    item: dict[str, Any], path: str, served: Served, schemas: dict[str, Any], settings: Settings
) -> dict[str, Any]:
    """The operations of a generic path for one system."""
    item = copy.deepcopy(item)
    for method, operation in item.items():
        operation["operationId"] = f"{operation['operationId']}_{served.card.slug}"
        operation["tags"] = [served.card.slug]
        parameters = [p for p in operation.get("parameters", []) if p["name"] != "name"]
        operation["parameters"] = parameters
        if path.endswith("/predict"):
            most = most_inputs(served.model.input_type, settings.max_rows)
            operation["requestBody"] = _inputs(served, schemas, most)
        if path.endswith("/explain"):
            operation["requestBody"] = _inputs(served, schemas, MAX_EXPLAINED)
        if path.endswith("/predict"):
            operation["responses"]["200"] = _predictions(served, schemas)
        if path.endswith("/documents") and "requestBody" not in operation and method == "post":
            file = {"type": "string", "format": "binary"}
            metadata = {"type": "string", "contentMediaType": "application/json"}
            form = {"type": "object", "required": ["file"],
                    "properties": {"file": file, "metadata": metadata}}  # fmt: skip
            operation["requestBody"] = {
                "required": True, "content": {"multipart/form-data": {"schema": form}}
            }  # fmt: skip
        if method == "put":
            content = {"schema": {"type": "string", "format": "binary"}}
            operation["requestBody"] = {
                "required": True, "content": {"application/octet-stream": content}
            }  # fmt: skip
            operation["parameters"].append(
                {"name": METADATA, "in": "header", "description": "of the document",
                 "content": {"application/json": {"schema": {"type": "object"}}}}
            )  # fmt: skip
        if path.endswith("/feedback"):
            kinds = [_feedback("answer", {}), _feedback("good", {"type": "boolean"})]
            operation["requestBody"] = _json_body({"oneOf": kinds})
    return item


def _feedback(name: str, said: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["id", name],
        "additionalProperties": False,
        "properties": {"id": {"type": "string", "pattern": "^[0-9a-f]{32}$"}, name: said},
    }


def _inputs(served: Served, schemas: dict[str, Any], max_rows: int) -> dict[str, Any]:
    row = _adopt(served.model.input_type.model_json_schema(by_alias=True), served, "In", schemas)
    schema = {
        "type": "object",
        "required": ["inputs"],
        "additionalProperties": False,
        "properties": {"inputs": {"type": "array", "items": row, "maxItems": max_rows}},
    }
    body = _json_body(schema)
    fields: dict[str, Any] = schemas[f"{served.card.slug}In"]["properties"]
    if files := file_fields(served.model.input_type):  # as they are
        file = {"type": "string", "format": "binary"}
        form = {name: file if name in files else facts for name, facts in fields.items()}
        body["content"]["multipart/form-data"] = {"schema": {"type": "object", "properties": form}}
    if not isinstance(served.model, Tenants):  # else they may be of documents that not all see
        given = [r.model_dump(mode="json", by_alias=True) for r in served.model.examples()[:1]]
        body["content"]["application/json"]["example"] = {"inputs": given}
    return body


def _predictions(served: Served, schemas: dict[str, Any]) -> dict[str, Any]:
    kind = served.model.output_type.model_json_schema(mode="serialization")
    row = _adopt(kind, served, "Out", schemas)
    schema = {
        "type": "object",
        "required": ["system", "version", "predictions"],
        "properties": {
            "system": {"type": "string"},
            "version": {"type": "integer"},
            "predictions": {
                "type": "array",
                "items": {"allOf": [row, {"properties": {"id": {"type": "string"}}}]},
            },
        },
    }
    return {"description": "The answers", "content": {"application/json": {"schema": schema}}}


def _json_body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _adopt(
    schema: dict[str, Any], served: Served, suffix: str, schemas: dict[str, Any]
) -> dict[str, str]:
    """Puts a pydantic schema among the components, its own definitions too."""
    prefix = f"{served.card.slug}{suffix}"
    definitions = schema.pop("$defs", {})
    for name, definition in {prefix: schema, **definitions}.items():
        full = name if name == prefix else f"{prefix}_{name}"
        schemas[full] = _moved(definition, prefix)
    return {"$ref": f"#/components/schemas/{prefix}"}


def _moved(schema: Any, prefix: str) -> Any:
    """A schema whose references point to where `_adopt` puts what they mean."""
    if isinstance(schema, list):
        return [_moved(part, prefix) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.replace("#/$defs/", f"#/components/schemas/{prefix}_")
        if key == "$ref" and isinstance(value, str)
        else _moved(value, prefix)
        for key, value in schema.items()
    }
