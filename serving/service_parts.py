"""Which parts stand around the routes of the service, in one place; each is built from its own settings.

Order of the middlewares, the outermost first: observing (request id, metrics, logs, spans), hosts and headers, access,
rates. What a middleware refuses it answers itself: `await problem(error)(scope, receive, send)`.
"""

from starlette.middleware import Middleware

from .access.access import Access
from .access.settings import AccessSettings
from .http.guard import AccessGuard
from .http.openapi_access import DescribeAccess
from .http.parts import ServiceParts
from .http.settings import ServiceSettings


def service_parts(settings: ServiceSettings) -> ServiceParts:
    """The parts that the environment asks for."""
    who = AccessSettings.from_environment()
    access = Access.of(who)
    guard = Middleware(AccessGuard, access=access, insecure=who.insecure)
    # Access is described last: what it says stands at every path.
    return ServiceParts(middlewares=[guard], documents=[DescribeAccess(access)])
