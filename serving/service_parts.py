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
from .http.openapi_limits import describe_limits
from .http.openapi_observe import describe_observing
from .http.parts import ServiceParts
from .http.rate_guard import RateGuard
from .http.request_guard import RequestGuard
from .http.settings import ServiceSettings
from .jobs.document import DescribeJobs
from .jobs.engine import JobEngine
from .jobs.routes import job_routes, served_now
from .jobs.settings import JobSettings
from .limits.admission import Admission
from .limits.ending import Ending
from .limits.settings import LimitSettings, state_folder
from .limits.shared_page import SharedPage
from .observe.metrics import service_metrics
from .observe.metrics_page import metrics_page
from .observe.observe_requests import ObserveRequests
from .observe.route_names import RouteNames
from .observe.tracing import tracing_of_environment


def service_parts(settings: ServiceSettings) -> ServiceParts:
    """The parts that the environment asks for."""
    limits, ending = LimitSettings.from_environment(), Ending()
    page = SharedPage(state_folder())
    admission = Admission(
        limits,
        width=settings.concurrency,
        most_json=settings.max_json_bytes,
        most_file=settings.max_upload_bytes,
        page=page,
        ending=ending,
        metrics=service_metrics,
    )
    who = AccessSettings.from_environment()
    access = Access.of(who)
    guard = Middleware(AccessGuard, access=access, insecure=who.insecure)
    audit = AuditSettings.from_environment()
    # Opened in a thread of the worker, at the first row.
    writer = GroupCommit(audit.open) if audit.url is not None else None
    recording = Middleware(AuditMiddleware, writer=writer)
    # Access and observing are described last: what they say stands at every path.
    jobs = JobSettings.from_environment()
    engine = JobEngine(jobs, settings) if jobs.jobs is not None else None
    parts = ServiceParts(
        middlewares=[
            Middleware(OipErrors),
            Middleware(RequestGuard, settings=limits, ending=ending),
            guard,
            Middleware(RateGuard, settings=limits, page=page),
            recording,
        ],
        admission=admission,
        routes=[
            Route("/metrics", metrics_page),
            *(job_routes(engine, settings, served_now, admission) if engine else ()),
        ],
        documents=[
            *([DescribeJobs(settings)] if engine else ()),
            describe_limits,
            DescribeAccess(access),
            describe_observing,
        ],
        ready=[writer.why_not_ready] if writer else (),
        starts=[part.start for part in (writer, engine) if part is not None],
        stops=[part.stop for part in (engine, writer) if part is not None],
        extra={"ending": ending, "limits": limits},
    )
    return replace(parts, middlewares=[observing(settings, parts), *parts.middlewares])


def observing(settings: ServiceSettings, parts: ServiceParts) -> Middleware:
    """The outermost middleware, which knows all routes that the document of these parts has."""
    document = openapi_document(settings)
    for describe in parts.documents:
        describe(document)
    return Middleware(ObserveRequests, routes=RouteNames(document["paths"]), tracing=tracing_of_environment)
