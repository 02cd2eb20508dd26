"""Which parts stand around the routes of the service, in one place; each is built from its own settings.

Order of the middlewares, the outermost first: observing (request id, metrics, logs, spans), hosts and headers, access,
rates. What a middleware refuses it answers itself: `await problem(error)(scope, receive, send)`.
"""

from .http.parts import ServiceParts
from .http.settings import ServiceSettings


def service_parts(settings: ServiceSettings) -> ServiceParts:
    """The parts that the environment asks for."""
    return ServiceParts()
