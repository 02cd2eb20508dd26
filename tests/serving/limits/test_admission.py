"""Room for bodies and turns, as the routes ask for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.requests import Request

from cellmark.schemas.errors import CellmarkError
from cellmark.serving.context import RequestContext
from cellmark.serving.limits import admission as module
from cellmark.serving.limits.admission import SPARE_BYTES, Admission
from cellmark.serving.limits.ending import Ending
from cellmark.serving.limits.refusals import gone
from cellmark.serving.limits.settings import LimitSettings
from cellmark.serving.limits.shared_page import SharedPage

MIB = 1024**2


def request(length: int | None, media_type: str = "application/x-npz", encoding: str | None = None) -> Request:
    headers = [(b"content-type", media_type.encode())]
    headers += [] if encoding is None else [(b"content-encoding", encoding.encode())]
    headers += [] if length is None else [(b"content-length", str(length).encode())]
    return Request({"type": "http", "method": "POST", "path": "/annotate", "headers": headers})


def make(page: SharedPage | None = None, free: int = 10**12, **settings: Any) -> Admission:
    values = {"bodies_bytes": 100 * MIB, "queue_seconds": 0.2, **settings}
    return Admission(
        LimitSettings(**values),
        width=2,
        most_json=10 * MIB,
        most_file=40 * MIB,
        page=page or SharedPage(),
        ending=Ending(),
        free_bytes=lambda folder: free,
    )


@asynccontextmanager
async def held(admission: Admission, asked: Request, context: RequestContext | None = None) -> AsyncIterator[None]:
    async with admission.slot(asked, context or RequestContext()):
        yield


def refused(*within: Request, asked: Request, admission: Admission, context: RequestContext | None = None) -> str:
    """The code with which `asked` is refused while the others are held."""

    async def run() -> str:
        slots = [held(admission, each) for each in within]
        for slot in slots:
            await slot.__aenter__()
        try:
            async with held(admission, asked, context):
                return ""
        except CellmarkError as error:
            return error.code
        finally:
            for slot in slots:
                await slot.__aexit__(None, None, None)

    return asyncio.run(run())


def test_bodies_are_received_while_there_is_room() -> None:
    page = SharedPage()
    admission = make(page)
    big = request(40 * MIB)
    assert refused(big, asked=big, admission=admission) == ""
    assert refused(big, big, asked=big, admission=admission) == "SERVICE_BUSY"
    assert refused(big, big, asked=request(20 * MIB), admission=admission) == ""
    assert page.held() == 0


def test_a_body_of_unknown_length_counts_as_the_largest() -> None:
    admission = make()
    assert refused(request(None), request(None), asked=request(30 * MIB), admission=admission) == "SERVICE_BUSY"
    json = request(None, "application/json")
    assert refused(request(None), request(None), json, asked=request(5 * MIB), admission=admission) == ""


def test_a_compressed_body_counts_as_the_largest_that_it_may_become() -> None:
    full = request(40 * MIB), request(40 * MIB), request(15 * MIB)
    for encoding in ("gzip", "zstd"):
        asked = request(1000, "application/json", encoding)
        assert refused(*full, asked=asked, admission=make()) == "SERVICE_BUSY"
    assert refused(*full, asked=request(1000, "application/json", "identity"), admission=make()) == ""


def with_headers(*headers: tuple[bytes, bytes]) -> Request:
    return Request({"type": "http", "method": "POST", "path": "/annotate", "headers": list(headers)})


def test_of_a_header_that_comes_twice_the_first_counts_as_where_the_body_is_received() -> None:
    file, json, long = (b"content-type", b"application/x-npz"), (b"content-type", b"application/json"), str(40 * MIB)
    asked = with_headers(file, json, (b"content-length", long.encode()))
    assert refused(request(40 * MIB), request(40 * MIB), asked=asked, admission=make()) == "SERVICE_BUSY"
    packed, plain = (b"content-encoding", b"gzip"), (b"content-encoding", b"identity")
    full = request(40 * MIB), request(40 * MIB), request(15 * MIB)
    for encodings in ((packed, plain), (plain, packed)):
        asked = with_headers(json, *encodings, (b"content-length", b"100"))
        assert refused(*full, asked=asked, admission=make()) == "SERVICE_BUSY"


def test_a_small_body_never_waits_for_room() -> None:
    admission = make(bodies_bytes=1)
    assert refused(request(40 * MIB), asked=request(MIB), admission=admission) == ""


def test_a_declared_length_beyond_the_limit_takes_no_more_room_than_the_largest() -> None:
    assert refused(request(10**12), asked=request(40 * MIB), admission=make()) == ""


def test_room_that_another_worker_gives_back_is_seen() -> None:
    page = SharedPage()
    admission = make(page, queue_seconds=20)
    assert page.reserve(90 * MIB, 100 * MIB)

    async def run() -> None:
        waits = asyncio.create_task(held(admission, request(40 * MIB)).__aenter__())
        await asyncio.sleep(0.01)
        assert not waits.done()
        page.release(90 * MIB)
        await asyncio.wait_for(waits, 5)

    asyncio.run(run())


def test_who_left_no_longer_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    admission = make(queue_seconds=1000)
    context = RequestContext()
    context.stop.ask(gone())
    big = request(40 * MIB)
    assert refused(big, big, asked=big, admission=admission, context=context) == "CLIENT_GONE"


def test_only_so_many_wait_for_room() -> None:
    admission = make(queue=1, queue_seconds=1000)

    async def run() -> str:
        big = request(40 * MIB)
        async with held(admission, big), held(admission, big):
            waits = asyncio.create_task(held(admission, big).__aenter__())
            await asyncio.sleep(0.01)
            try:
                async with held(admission, big):
                    return ""
            except CellmarkError as error:
                return error.code
            finally:
                waits.cancel()

    assert asyncio.run(run()) == "SERVICE_BUSY"


def test_a_full_disk_refuses_files_but_not_json() -> None:
    admission = make(free=SPARE_BYTES + 5 * MIB)
    assert refused(asked=request(6 * MIB), admission=admission) == "DISK_FULL"
    assert refused(asked=request(4 * MIB), admission=admission) == ""
    assert refused(asked=request(6 * MIB, "application/json"), admission=admission) == ""


def test_a_worker_that_can_answer_nothing_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make().why_not_ready() is None
    full = make(free=SPARE_BYTES - 1).why_not_ready()
    assert full is not None
    assert full.code == "DISK_FULL"
    ending = make()
    ending.ending.begin()
    stopping = ending.why_not_ready()
    assert stopping is not None
    assert stopping.code == "SERVICE_STOPPING"


def test_a_worker_whose_queue_stays_full_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL_SECONDS", 0)
    admission = make(queue=1)

    async def run() -> str:
        small = RequestContext()
        async with admission.turn(small), admission.turn(small):
            waits = asyncio.create_task(admission.turn(small).__aenter__())
            await asyncio.sleep(0)
            assert admission.why_not_ready() is None
            with pytest.raises(CellmarkError):
                async with admission.turn(small):
                    pass
            await asyncio.sleep(0.01)
            why = admission.why_not_ready()
        await waits
        assert admission.why_not_ready() is None
        return why.code if why else ""

    assert asyncio.run(run()) == "SERVICE_BUSY"


def test_waiting_is_a_stage_of_the_request() -> None:
    admission, context = make(), RequestContext()

    async def run() -> None:
        async with admission.slot(request(40 * MIB), context), admission.turn(context):
            pass

    asyncio.run(run())
    assert set(context.stages) == {"queue"}
