"""The part of the OpenAPI document about versions: routes of named models, and those of an administrator."""

from copy import deepcopy
from typing import Any

from pydantic import BaseModel

from cellmark.schemas.api.version_responses import AdminAnswer, ModelsAnswer, ShadowAnswer, WebhookAnswer

from ..versions.webhook import DELIVERY, SIGNATURE, TIMESTAMP
from .openapi_parts import answer, parameters, refusals
from .options import AdminOptions
from .version_routes import MODEL_PREFIXES

ANSWERS: tuple[type[BaseModel], ...] = (ModelsAnswer, AdminAnswer, WebhookAnswer, ShadowAnswer)
BROKEN = ("SERVICE_NOT_READY", "INTERNAL_ERROR")
NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "Name of a served model; `GET /models` lists them.",
}
VERSION = {
    "name": "version",
    "in": "path",
    "required": True,
    "description": "Number of a version of the registered model. One that is not in memory is fetched and loaded, "
    "which takes seconds.",
}


def of_named_models(paths: dict[str, Any]) -> dict[str, Any]:
    """The routes of a model for every served name, and for every version of it."""
    found: dict[str, Any] = {}
    for prefix, ending in zip(MODEL_PREFIXES, ("OfModel", "OfVersion"), strict=True):
        named = [{**part, "schema": {"type": "string", "minLength": 1}} for part in (NAME, VERSION)]
        if ending == "OfModel":
            named = named[:1]
        for path, item in paths.items():
            found[prefix + path] = {
                method: _named(operation, named, ending) for method, operation in deepcopy(item).items()
            }
    return found


def _named(operation: dict[str, Any], named: list[dict[str, Any]], ending: str) -> dict[str, Any]:
    operation["operationId"] += ending
    operation["tags"] = ["named models"]
    operation["parameters"] = [*named, *operation.get("parameters", [])]
    codes = ["MODEL_UNKNOWN", *(["REPORT_MISSING"] if "404" in operation["responses"] else [])]
    added = refusals((*codes, *(VERSION_CODES if ending == "OfVersion" else ())))
    for status, refusal in added.items():
        known = operation["responses"].get(status)
        if known is None or status == "404":
            operation["responses"][status] = refusal
        else:
            known["description"] += "\n" + refusal["description"]
    return operation


VERSION_CODES = (
    "MODEL_MEMORY_FULL",
    "BUNDLE_DIGEST_MISMATCH",
    "GOLDEN_CELLS_MISMATCH",
    "REGISTRY_UNREACHABLE",
    "REGISTRY_REFUSED",
)


def version_paths() -> dict[str, Any]:
    """The routes of `version_routes.py`."""
    admin: dict[str, Any] = {"tags": ["administration"]}
    asked = {
        "200": answer(AdminAnswer),
        "202": {**answer(AdminAnswer), "description": "It takes longer, and goes on."},
        **refusals(("PARAMETER_INVALID", "MODEL_UNKNOWN", *BROKEN)),
    }
    headers = [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": told}
        for name, told in (
            (SIGNATURE, "`v1,` and the base64 of HMAC-SHA256 over `delivery id.timestamp.body`."),
            (TIMESTAMP, "Unix seconds, at most five minutes from now."),
            (DELIVERY, "Id of the message."),
        )
    ]
    webhook = {
        "operationId": "webhook",
        "summary": "Take a signed message of MLflow's that an alias was moved",
        "description": "MLflow signs it with CELLMARK_WEBHOOK_SECRET. The registry itself is asked then.",
        "parameters": headers,
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "200": answer(WebhookAnswer),
            "202": answer(WebhookAnswer),
            **refusals(
                ("WEBHOOK_UNSIGNED", "REQUEST_INVALID", "REQUEST_TOO_LARGE", "PARAMETER_INVALID", *BROKEN),
            ),
        },
        **admin,
    }
    options: dict[str, Any] = {"parameters": parameters(AdminOptions)}
    back = {**asked, **refusals(("NO_EARLIER_VERSION",))}
    return {
        "/models": {
            "get": {
                "operationId": "models",
                "summary": "Which models and versions are served",
                "responses": {"200": answer(ModelsAnswer), **refusals(("PARAMETER_INVALID", *BROKEN))},
                "tags": ["model"],
            }
        },
        "/admin/reload": {
            "post": {
                "operationId": "reload",
                "summary": "Ask the registry now and serve what the alias names, in all workers",
                "responses": asked,
                **options,
                **admin,
            }
        },
        "/admin/rollback": {
            "post": {
                "operationId": "rollback",
                "summary": "Serve the version before, in all workers, until the alias moves or a reload",
                "responses": back,
                **options,
                **admin,
            }
        },
        "/admin/webhook": {"post": webhook},
        "/admin/shadow": {
            "get": {
                "operationId": "shadow",
                "summary": "How the challenger compares with the model that answers",
                "responses": {"200": answer(ShadowAnswer), **refusals(("PARAMETER_INVALID", *BROKEN))},
                **admin,
            }
        },
    }
