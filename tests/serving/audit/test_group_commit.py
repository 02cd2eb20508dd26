"""Rows of many requests in few transactions, and a log that cannot be written for a while."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cellmark.schemas.audit.audit_log import AuditLog, open_audit_log, unavailable
from cellmark.schemas.audit.chain import ChainRow, Head, check_chain, link, start_of
from cellmark.schemas.errors import RequestError
from cellmark.serving.audit.group_commit import GroupCommit


class FakeLog:
    """Keeps rows in memory; `full` while nothing can be written. The first transaction waits for `go`."""

    log_id = "fake"

    def __init__(self) -> None:
        self.full = False
        self.go = threading.Event()
        self.written: list[ChainRow] = []
        self.sizes: list[int] = []

    def append(self, bodies: Sequence[str]) -> list[ChainRow]:
        self.go.wait(30)
        if self.full:
            raise unavailable("fake", "database or disk is full")
        rows = link(self.head(), bodies)
        self.written += rows
        self.sizes.append(len(rows))
        return rows

    def head(self) -> Head:
        return self.written[-1].head if self.written else start_of(self.log_id)

    def rows(self, *, start: int = 0) -> Iterator[ChainRow]:
        return iter(self.written)

    def close(self) -> None:
        pass

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def test_the_last_head_is_told_at_the_latest_when_the_service_ends(caplog: pytest.LogCaptureFixture) -> None:
    log = FakeLog()
    log.go.set()
    writer = GroupCommit(lambda: log)

    async def write() -> None:
        for number in range(3):
            await writer.write(f"row {number}")

    with caplog.at_level("INFO", logger="cellmark.audit"):
        asyncio.run(write())
        writer.stop()
    heads = [record.getMessage().removeprefix("audit head ") for record in caplog.records]
    assert heads == [str(log.written[0].head), str(log.written[2].head)], "the second fell into the first's minute"


def test_rows_that_wait_share_a_transaction() -> None:
    log = FakeLog()

    async def ask() -> list[ChainRow]:
        writer = GroupCommit(lambda: log)
        waiting = [asyncio.create_task(writer.write(f'"{number}"')) for number in range(50)]
        await asyncio.sleep(0)
        log.go.set()
        rows = await asyncio.gather(*waiting)
        writer.stop()
        return rows

    rows = asyncio.run(ask())
    assert [row.body for row in rows] == [f'"{number}"' for number in range(50)]
    assert rows == log.written
    assert len(log.sizes) <= 3
    assert check_chain(log.written, "fake").findings == ()


def test_nothing_is_acknowledged_while_the_disk_is_full_and_it_goes_on_by_itself() -> None:
    log = FakeLog()
    log.go.set()

    async def ask() -> list[str]:
        writer = GroupCommit(lambda: log, retry_seconds=0.01)
        await writer.write('"before"')
        log.full = True
        for _ in range(3):
            with pytest.raises(RequestError) as refused:
                await writer.write('"lost"')
            assert (refused.value.code, refused.value.status) == ("AUDIT_UNAVAILABLE", 503)
            assert refused.value.headers == {"Retry-After": "5"}
        with pytest.raises(RequestError):
            writer.refuse_if_broken()
        assert writer.why_not_ready() is not None
        log.full = False
        while writer.is_broken:  # nobody asks meanwhile
            await asyncio.sleep(0.005)
        writer.refuse_if_broken()
        assert writer.why_not_ready() is None
        await writer.write('"after"')
        writer.stop()
        return [row.body for row in log.written]

    before, resumed, after = asyncio.run(ask())
    assert (before, after) == ('"before"', '"after"')
    assert '"action":"audit.resumed"' in resumed
    assert '"refused":"4"' in resumed


def test_a_row_that_comes_first_after_a_fault_is_written() -> None:
    log = FakeLog()
    log.go.set()
    log.full = True

    async def ask() -> None:
        writer = GroupCommit(lambda: log, retry_seconds=3600)
        with pytest.raises(RequestError):
            await writer.write('"lost"')
        log.full = False
        await writer.write('"after"')
        writer.stop()

    asyncio.run(ask())
    assert [row.body for row in log.written][1:] == ['"after"']


def test_a_disk_that_hangs_is_not_waited_for_without_end() -> None:
    log = FakeLog()

    async def ask() -> None:
        writer = GroupCommit(lambda: log, seconds=0.05)
        with pytest.raises(RequestError, match="within"):
            await writer.write('"lost"')
        log.go.set()
        writer.stop()

    asyncio.run(ask())


def test_a_log_that_cannot_be_opened_is_opened_as_soon_as_it_can(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"

    async def ask() -> None:
        writer = GroupCommit(lambda: open_audit_log(str(path)), retry_seconds=0.01)
        with pytest.raises(RequestError) as refused:
            await writer.write('"lost"')
        assert str(path) not in str(refused.value)
        open_audit_log(str(path), create=True).close()
        while writer.is_broken:
            await asyncio.sleep(0.005)
        assert (await writer.write('"after"')).seq == 2
        writer.stop()

    asyncio.run(ask())


def test_an_answer_that_nobody_waits_for_any_more_harms_nobody() -> None:
    log = FakeLog()

    async def ask() -> None:
        writer = GroupCommit(lambda: log)
        gone = asyncio.create_task(writer.write('"gone"'))
        await asyncio.sleep(0)
        gone.cancel()
        log.go.set()
        assert (await writer.write('"here"')).seq == 2
        writer.stop()

    asyncio.run(ask())
