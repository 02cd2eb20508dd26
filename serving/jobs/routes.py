"""The routes of jobs: give one, look, fetch its result, cancel."""

import hashlib
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from pydantic import Field
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from cellmark.schemas.api.strict_json import write_json
from cellmark.schemas.audit.entry import timestamp
from cellmark.schemas.errors import RequestError

from ..annotator import Annotator
from ..context import RequestContext, context_of
from ..http.options import AnnotateOptions, RouteOptions, parse_options
from ..http.parts import Admission, NoAdmission
from ..http.receipts import options_given
from ..http.receive import receive
from ..http.settings import ServiceSettings
from .answers import ENDED, describe
from .engine import JobEngine
from .job_input import keep_body, keep_file
from .job_store import Job, JobRecord
from .refusals import idempotency_key, no_result, no_room, refuse_cancelled, refuse_conflict, unknown_job

JSON = "application/json"
PARQUET = "application/vnd.apache.parquet"
MOST_LISTED = 100
ADMIN = "admin"


class JobOptions(AnnotateOptions):
    """Options of `POST /jobs`."""

    path: str | None = Field(
        default=None, description="File below the service's folder of inputs, in place of an upload."
    )


def job_routes(
    engine: JobEngine,
    settings: ServiceSettings,
    annotator: Callable[[Request], Annotator],
    admission: Admission | None = None,
) -> list[Route]:
    """The routes. `annotator`: the model that answers a request now, which the job keeps to its end."""
    routes = _JobRoutes(engine, settings, annotator, admission or NoAdmission())
    return [
        # One route for a path: the header Allow of a refusal names all of its methods.
        Route("/jobs", by_method(GET=routes.get_all, POST=routes.post), methods=["GET", "POST"]),
        Route("/jobs/{id}", by_method(GET=routes.get, DELETE=routes.delete), methods=["GET", "DELETE"]),
        Route("/jobs/{id}/result", routes.result, methods=["GET"]),
    ]


Endpoint = Callable[[Request], Awaitable[Response]]


def by_method(**endpoints: Endpoint) -> Endpoint:
    """One endpoint of several, by the request's method; HEAD is a GET."""

    async def endpoint(request: Request) -> Response:
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return endpoint


class _JobRoutes:
    def __init__(
        self,
        engine: JobEngine,
        settings: ServiceSettings,
        annotator: Callable[[Request], Annotator],
        admission: Admission,
    ) -> None:
        self._admission = admission
        self._engine = engine
        self._settings = settings
        self._annotator = annotator

    async def post(self, request: Request) -> Response:
        context = context_of(request.scope)
        model = self._annotator(request)
        context.model, context.model_version = model.source.name, model.source.version
        context.bundle_digest = model.bundle.digest
        wanted = idempotency_key(request)
        draft = await anyio.to_thread.run_sync(self._engine.store.draft)
        try:
            async with self._admission.slot(request, context):
                name, options = await self._keep_input(request, context, draft / "input")
            record = self._record(context, model, name, options, wanted)
            job, is_new = await anyio.to_thread.run_sync(self._engine.store.add, draft, record)
        except OSError as error:
            raise no_room(error) from error
        finally:
            # In a thread, and to its end: an input may have gigabytes.
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(partial(shutil.rmtree, draft, ignore_errors=True))
        if not is_new:
            refuse_cancelled(job)
            refuse_conflict(job.record, record)
        await anyio.to_thread.run_sync(self._engine.enqueue, job)
        return await self._answer(job, 202 if is_new else 200, Location=f"/jobs/{record.id}")

    async def get_all(self, request: Request) -> Response:
        parse_options(RouteOptions, request.query_params.multi_items())
        own = partial(self._own_jobs, context_of(request.scope))
        return Response(write_json({"jobs": await anyio.to_thread.run_sync(own)}), media_type=JSON)

    async def get(self, request: Request) -> Response:
        return await self._answer(self._find(request))

    async def delete(self, request: Request) -> Response:
        job = self._find(request)
        await anyio.to_thread.run_sync(self._engine.cancel, job)
        return await self._answer(job)

    async def result(self, request: Request) -> Response:
        job = self._find(request)
        found = await anyio.to_thread.run_sync(self._describe, job)
        context = context_of(request.scope)
        context.model, context.model_version = found["model"], found["model_version"]
        context.bundle_digest, context.input_digest = found["bundle_digest"], found["input_digest"]
        if found["state"] != "done":
            raise no_result(found)
        headers = {"X-Cellmark-Receipt": write_json(found["receipt"]).decode("ascii")}
        return FileResponse(job.result, media_type=PARQUET, filename=f"{found['id']}.parquet", headers=headers)

    async def _keep_input(self, request: Request, context: RequestContext, folder: Path) -> tuple[str, JobOptions]:
        query = request.query_params.multi_items()
        options = parse_options(JobOptions, [pair for pair in query if pair[0] == "path"])
        path = options.path
        if path is not None:
            options = parse_options(JobOptions, query)
            jobs = self._engine.settings
            copy = partial(keep_file, jobs.root, path, folder, most_bytes=jobs.jobs_max_bytes)
            name, context.input_digest = await anyio.to_thread.run_sync(copy)
            return name, options
        async with receive(request, self._settings) as body:
            options = parse_options(JobOptions, query, body.fields)
            if options.path is not None:
                raise RequestError.of(
                    "REQUEST_INVALID",
                    where="path",
                    expected="a path in the query, or an upload",
                    found="both",
                    remedy="Send one of them.",
                )
            keep = partial(keep_body, body, folder, options, self._settings)
            return await anyio.to_thread.run_sync(keep), options

    def _record(
        self, context: RequestContext, model: Annotator, name: str, options: JobOptions, wanted: str | None
    ) -> JobRecord:
        given = {key: value for key, value in options_given(options).items() if key != "path"}
        parse_options(AnnotateOptions, given.items())
        model.rules(options.label_set_error)
        job_id = secrets.token_hex(16) if wanted is None else id_of(context.key_id, wanted)
        return JobRecord(
            id=job_id,
            owner=context.key_id,
            created=timestamp(),
            since=time.time(),
            name=name,
            options=given,
            input_digest=context.input_digest or "",
            model=model.source.name,
            model_version=model.source.version,
            bundle_digest=model.bundle.digest,
            bundle_folder=str(model.bundle.folder.resolve()),
        )

    def _find(self, request: Request) -> Job:
        """The job of a path. One of another key is as unknown as one that never was."""
        parse_options(RouteOptions, request.query_params.multi_items())
        job = self._engine.store.find(request.path_params["id"])
        try:
            if job is not None and not job.is_cancelled and may_see(context_of(request.scope), job.record):
                return job
        except FileNotFoundError:
            pass
        raise unknown_job()

    def _own_jobs(self, context: RequestContext) -> list[dict[str, Any]]:
        records = []
        for job in self._engine.store.all():
            try:
                record = job.record
            except FileNotFoundError:
                continue
            if may_see(context, record) and not job.is_cancelled:
                records.append((record.since, record.id, job))
        latest = sorted(records, key=lambda entry: entry[:2], reverse=True)[:MOST_LISTED]
        return [self._describe(job) for _, _, job in latest]

    def _describe(self, job: Job) -> dict[str, Any]:
        try:
            found = describe(job, None)
            return found if found["state"] in ENDED else describe(job, self._engine.status(job.folder.name))
        except FileNotFoundError:
            raise unknown_job() from None

    async def _answer(self, job: Job, status: int = 200, **headers: str) -> Response:
        found = await anyio.to_thread.run_sync(self._describe, job)
        return Response(write_json(found), status, headers, JSON)


def may_see(context: RequestContext, record: JobRecord) -> bool:
    """Whether a caller may look at a job, fetch its result and cancel it."""
    return record.owner == context.key_id or ADMIN in context.scopes


def id_of(owner: str | None, idempotency: str) -> str:
    """The id that one caller's job of that key has, however often it is sent."""
    return hashlib.sha256(f"{owner or ''}\n{idempotency}".encode()).hexdigest()[:32]


def served_now(request: Request) -> Annotator:
    """The model that the service answers with by default. Raises `RequestError` (`SERVICE_NOT_READY`)."""
    model: Annotator = request.app.state.served.get()
    return model
