"""Tracing as the environment asks for it, by OpenTelemetry's standard variables and with KServe's choices of them.

- Off, unless `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_TRACES_EXPORTER` says
  otherwise: a service that nobody configured connects to nothing.
- `OTEL_TRACES_EXPORTER`: `otlp`, `console`, both, or `none`. `OTEL_EXPORTER_OTLP_PROTOCOL`: `grpc` or `http/protobuf`.
- A bad setting, or an exporter that is not installed, is logged as a warning; the service runs without traces.
- Samplers, resources, headers, certificates and the rest are read by OpenTelemetry itself.
"""

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .spans import NO_TRACING, SpanTracing, Tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger("cellmark.serving")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
INSTALL = "pip install 'cellmark[tracing]'"
NAME = "cellmark"


def tracing_of_environment(environment: Mapping[str, str] | None = None) -> Tracing:
    """Tracing, or none where nothing asks for it or what asks is wrong, which is logged."""
    given = os.environ if environment is None else environment
    try:
        exporters = exporter_names(given)
        if not exporters or given.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return NO_TRACING
        return SpanTracing(_provider(given, exporters).get_tracer(NAME))
    except ImportError as error:
        logger.warning("No traces are sent: %s. Install the exporters with: %s", error, INSTALL)
    except Exception as error:  # whatever OpenTelemetry makes of its variables, cells are still to be called
        logger.warning("No traces are sent: a setting of OpenTelemetry is wrong: %r", error)
    return NO_TRACING


def exporter_names(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The exporters that are asked for. Raises `ValueError` for one that is unknown, and for `none` beside others."""
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if not named:
        return ("otlp",) if any(environment.get(name, "").strip() for name in ENDPOINTS) else ()
    names = tuple(name.strip() for name in named.split(","))
    unknown = sorted(set(names) - {"otlp", "console", "none"})
    if unknown:
        raise ValueError(f"OTEL_TRACES_EXPORTER: expected otlp, console or none; found {', '.join(unknown)}")
    if "none" in names:
        if len(names) > 1:
            raise ValueError("OTEL_TRACES_EXPORTER: none cannot be combined with another exporter")
        return ()
    return names


def _provider(environment: Mapping[str, str], exporters: tuple[str, ...]) -> "TracerProvider":
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: NAME}).merge(OTELResourceDetector().detect()))
    for name in exporters:
        if name == "otlp":
            provider.add_span_processor(BatchSpanProcessor(_otlp_exporter(environment)))
        else:
            provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    return provider


def _otlp_exporter(environment: Mapping[str, str]) -> Any:
    """Raises `ImportError` where the extra is not installed, and `ValueError` for an unknown protocol."""
    protocol = next((text for name in PROTOCOLS if (text := environment.get(name, "").strip().lower())), "grpc")
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc

        return OverGrpc()
    if protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp

        return OverHttp()
    raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL: expected grpc or http/protobuf; found {protocol}")
