"""The service's own routes, as a Starlette application that runs inside BentoML or, in tests, by itself."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cellmark.schemas.api.map_responses import MapAnswer
from cellmark.schemas.api.request_cells import RequestCells
from cellmark.schemas.api.responses import (
    AnnotateAnswer,
    AttributeAnswer,
    MarkersAnswer,
    ModelAnswer,
    SparseAttributeAnswer,
    ValidateAnswer,
)
from cellmark.schemas.api.strict_json import write_json
from cellmark.schemas.columns import UNS_KEY
from cellmark.schemas.errors import InputError

from .annotator import Annotator
from .context import Entering, context_of, stage
from .http import answers
from .http.answer_frames import annotate_frame, attribute_frame, attribute_sparse
from .http.answer_tables import annotated_copy, table_bytes
from .http.answer_types import ANSWERS, CSV, HDF5, JSON, chosen_type, only_json, response
from .http.answers import checked
from .http.oip import OipErrors, named_model, oip_routes
from .http.open_body import open_body
from .http.openapi import openapi_document
from .http.options import (
    AnnotateOptions,
    AttributeOptions,
    InputOptions,
    MapOptions,
    MarkersOptions,
    ModelOptions,
    RouteOptions,
    ValidateOptions,
    parse_options,
)
from .http.page_routes import page_routes
from .http.pages import REPORT_HEADERS, read_report
from .http.parts import NO_PARTS, ServiceParts
from .http.problems import EXCEPTION_HANDLERS
from .http.quick_bodies import QuickBodies, kind_of
from .http.receipts import note_question
from .http.receive import Body, receive, receive_bytes
from .http.served_model import ServedModel, leased
from .http.settings import ServiceSettings
from .http.version_routes import MODEL_PREFIXES, version_routes
from .scoring.attribute import Question
from .scoring.cell_map import CellMap

Options = TypeVar("Options", bound=InputOptions)
Endpoint = Callable[[Request], Awaitable[Response]]
Content = bytes | Iterator[bytes]


def make_app(
    model: Annotator | ServedModel, settings: ServiceSettings | None = None, parts: ServiceParts = NO_PARTS
) -> Starlette:
    """The application. `model`: a loaded one, or one that is still being loaded and answers 503 until it is."""
    served = ServedModel(model) if isinstance(model, Annotator) else model
    settings = settings or ServiceSettings()
    limiter = anyio.CapacityLimiter(settings.concurrency)
    quick = QuickBodies()

    def receiving(request: Request) -> Entering[Body]:
        return Entering("read", receive(request, settings))

    def opened(body: Body, options: InputOptions, *, may_write: bool = False) -> Entering[RequestCells]:
        return Entering("read", open_body(body, options, settings, may_write=may_write))

    def post(
        form: type[Options], work: Callable[[Annotator, Body, Options, str], Content], offered: Sequence[str] = (JSON,)
    ) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            context = context_of(request.scope)
            media_type = chosen_type(request.headers.get("accept", ""), offered)
            async with (
                leased(served, **request.path_params) as annotator,
                parts.admission.slot(request, context),
                receiving(request) as body,
            ):
                context.model, context.model_version = annotator.source.name, annotator.source.version
                context.bundle_digest = annotator.bundle.digest
                options = parse_options(form, request.query_params.multi_items(), body.fields)
                note_question(context, request.url.path, options)
                # In a thread, so that /livez answers meanwhile; onnxruntime and NumPy leave the interpreter free.
                task = partial(work, annotator, body, options, media_type)
                question = f"{request.url.path}?{request.url.query}"
                kind = kind_of(question, body.json) if media_type == JSON and form is not ValidateOptions else None
                async with parts.admission.turn(context):
                    with quick.timed(kind) as was_quick:
                        answer = task() if was_quick else await anyio.to_thread.run_sync(task, limiter=limiter)
            for record in parts.recorders:
                await record(request, context)
            return await response(request, answer, media_type)

        return endpoint

    async def compute(request: Request, work: Callable[[Annotator, bytes], Any]) -> Any:
        context = context_of(request.scope)
        context.route = context.route or request.url.path
        async with (
            leased(served, *named_model(request.path_params)) as annotator,
            parts.admission.slot(request, context),
        ):
            context.model, context.model_version = annotator.source.name, annotator.source.version
            context.bundle_digest = annotator.bundle.digest
            body = await receive_bytes(request, settings.max_json_bytes)
            async with parts.admission.turn(context):
                answer = await anyio.to_thread.run_sync(partial(work, annotator, body), limiter=limiter)
        for record in parts.recorders:
            await record(request, context)
        return answer

    def annotate(annotator: Annotator, body: Body, options: AnnotateOptions, media_type: str) -> Content:
        with opened(body, options, may_write=media_type == HDF5) as cells:
            if media_type == JSON:
                answer = answers.annotate(annotator, cells, options.calls, floors=options.floors, shadow=served.offer)
                return checked(AnnotateAnswer, answer)
            frame, passed = annotate_frame(annotator, cells, options.calls, floors=options.floors)
            with stage("encode"):
                if media_type == HDF5:
                    return annotated_copy(frame, passed.given, body.path)
                return table_bytes(frame.reset_index(), frame.attrs[UNS_KEY], media_type)

    def attribute(annotator: Annotator, body: Body, options: AttributeOptions, media_type: str) -> Content:
        with opened(body, options) as cells:
            question = Question(options.target, options.against, options.top)
            if options.layout == "csr":
                only_json(media_type)
                answer = attribute_sparse(annotator, cells, question, floors=options.floors)
                return checked(SparseAttributeAnswer, answer)
            if media_type != JSON:
                frame = attribute_frame(annotator, cells, question, floors=options.floors)
                return table_bytes(frame, frame.attrs[UNS_KEY], media_type)
            return checked(AttributeAnswer, answers.attribute(annotator, cells, question, floors=options.floors))

    def cell_map(annotator: Annotator, body: Body, options: MapOptions, media_type: str) -> Content:
        with opened(body, options) as cells:
            beside = CellMap(annotator.bundle.panel.symbol_array, rows=options.rows, own=options.own)
            return checked(
                MapAnswer,
                answers.annotate(
                    annotator, cells, options.calls, floors=options.floors, shadow=served.offer, beside=beside
                ),
            )

    def validate(annotator: Annotator, body: Body, options: ValidateOptions, media_type: str) -> Content:
        try:
            with opened(body, options) as cells:
                answer = answers.validate(annotator, cells, folder=body.folder, floors=options.floors)
        except InputError as error:
            answer = answers.unreadable(annotator, error)
        return checked(ValidateAnswer, write_json(answer))

    async def get_model(request: Request) -> Response:
        options = parse_options(ModelOptions, request.query_params.multi_items())
        async with leased(served, **request.path_params) as annotator:
            answer = answers.describe_model(annotator, genes=options.genes)
        if "version" not in request.path_params:
            answer["update"] = await anyio.to_thread.run_sync(served.update, annotator.source.name)
        return Response(checked(ModelAnswer, write_json(answer)), media_type=JSON)

    async def get_markers(request: Request) -> Response:
        options = parse_options(MarkersOptions, request.query_params.multi_items())
        async with leased(served, **request.path_params) as annotator:
            table = answers.markers(annotator, options.cell_type, options.top)
        accepted = CSV if options.format == "csv" else JSON
        if options.format is None:
            accepted = chosen_type(request.headers.get("accept", ""), (JSON, CSV), strict=False)
        if accepted == CSV:
            return Response(table.to_csv(index=False), media_type=CSV)
        return Response(checked(MarkersAnswer, write_json(answers.markers_json(annotator, table))), media_type=JSON)

    async def get_report(request: Request) -> Response:
        parse_options(RouteOptions, request.query_params.multi_items())
        async with leased(served, **request.path_params) as annotator:
            return Response(read_report(annotator.bundle), media_type="text/html", headers=REPORT_HEADERS)

    async def get_openapi(request: Request) -> Response:
        document = openapi_document(settings)
        for describe in parts.documents:
            describe(document)
        return json_response(document)

    of_a_model = {
        "/annotate": (post(AnnotateOptions, annotate, (*ANSWERS, HDF5)), "POST"),
        "/attribute": (post(AttributeOptions, attribute, ANSWERS), "POST"),
        "/map": (post(MapOptions, cell_map), "POST"),
        "/validate": (post(ValidateOptions, validate), "POST"),
        "/model": (get_model, "GET"),
        "/markers": (get_markers, "GET"),
        "/report": (get_report, "GET"),
    }
    routes = [
        *(
            Route(prefix + path, endpoint, methods=[method])
            for prefix in ("", *MODEL_PREFIXES)
            for path, (endpoint, method) in of_a_model.items()
        ),
        *version_routes(served),
        Route("/openapi.json", get_openapi),
        Route("/docs.json", get_openapi),  # where BentoML's pages look; its own document knows none of these routes
        *page_routes(settings),
        *oip_routes(served.get, partial(leased, served), compute),
        *parts.routes,
    ]
    middleware = [*parts.middlewares, Middleware(OipErrors)]
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=EXCEPTION_HANDLERS)
    app.state.served = served  # for the routes of parts
    return app


def json_response(value: Any) -> Response:
    """JSON without NaN, which Starlette's own would write for pandas' missing values."""
    return Response(write_json(value), media_type=JSON)
