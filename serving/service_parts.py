"""Which parts stand around the routes of the service, in one place; each is built from its own settings.

Order of the middlewares, the outermost first: observing (request id, metrics, logs, spans), hosts and headers, access,
rates. What a middleware refuses it answers itself: `await problem(error)(scope, receive, send)`.
"""

from dataclasses import replace

from starlette.middleware import Middleware
from starlette.routing import Route

from .access.access import Access
from .access.settings import AccessSettings
from .audit.group_commit import GroupCommit
from .audit.middleware import AuditMiddleware
from .audit.settings import AuditSettings
from .http.guard import AccessGuard
from .http.oip import OipErrors
from .http.openapi import openapi_document
from .http.openapi_access import DescribeAccess
from .http.parts import ServiceParts
from .http.settings import ServiceSettings
from .observe.metrics_page import metrics_page
from .observe.observe_requests import ObserveRequests
from .observe.route_names import RouteNames
from .observe.tracing import tracing_of_environment


def service_parts(settings: ServiceSettings) -> ServiceParts:
    """The parts that the environment asks for."""
    who = AccessSettings.from_environment()
    access = Access.of(who)
    guard = Middleware(AccessGuard, access=access, insecure=who.insecure)
    audit = AuditSettings.from_environment()
    # Opened in a thread of the worker, at the first row.
    writer = GroupCommit(audit.open) if audit.url is not None else None
    recording = Middleware(AuditMiddleware, writer=writer)
    # Access is described last: what it says stands at every path.
    parts = ServiceParts(
        middlewares=[Middleware(OipErrors), guard, recording],
        routes=[Route("/metrics", metrics_page)],
        documents=[DescribeAccess(access)],
    )
    return replace(parts, middlewares=[observing(settings, parts), *parts.middlewares])


def observing(settings: ServiceSettings, parts: ServiceParts) -> Middleware:
    """The outermost middleware, which knows all routes that the document of these parts has."""
    document = openapi_document(settings)
    for describe in parts.documents:
        describe(document)
    return Middleware(ObserveRequests, routes=RouteNames(document["paths"]), tracing=tracing_of_environment)
