"""A row's content."""

import json
from datetime import UTC, datetime, timedelta, timezone

from cellmark.schemas.audit.entry import AuditEntry, timestamp


def test_a_body_is_sorted_json_of_what_is_known() -> None:
    entry = AuditEntry(time="2026-11-29T16:00:00.000Z", who="kéy", action="POST /annotate", n_cells=0)
    assert entry.body() == (
        '{"action":"POST /annotate","n_cells":0,"time":"2026-11-29T16:00:00.000Z","verdict":"ok","who":"k\\u00e9y"}'
    )
    moved = AuditEntry(time="t", who=None, action="registry.promote", details={"alias": "champion"})
    assert json.loads(moved.body())["details"] == {"alias": "champion"}


def test_times_are_utc_to_the_millisecond() -> None:
    moment = datetime(2026, 11, 29, 18, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    assert timestamp(moment) == "2026-11-29T16:00:00.123Z"
    assert datetime.fromisoformat(timestamp()) - datetime.now(UTC) < timedelta(seconds=5)
