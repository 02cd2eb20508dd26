"""What each path needs, and that no path slips through."""

import pytest

from cellmark.schemas.errors import RequestError
from cellmark.serving.access.scopes import Need, Needed, RouteNeeds, require_scope


@pytest.mark.parametrize(
    ("path", "need"),
    [
        ("/annotate", "annotate"),
        ("/annotate/", "annotate"),
        ("/attribute", "explain"),
        ("/model", "annotate"),
        ("/models/pbmc/versions/3/annotate", "annotate"),
        ("/models/pbmc/versions/3/attribute", "explain"),
        ("/models/pbmc/attribute/", "explain"),
        ("/admin/reload", "admin"),
        ("/admin", "admin"),
        ("/jobs/1/result", "annotate"),
        ("/v2", "annotate"),
        ("/v2/models/pbmc/infer", "annotate"),
        ("/v2/health/ready", Need.NOTHING),
        ("/livez", Need.NOTHING),
        ("/", Need.NOTHING),
        ("/page/page.js", Need.NOTHING),
        ("/docs", Need.NOTHING),
        ("/map", "annotate"),
        ("/models/pbmc/map", "annotate"),
        ("/static_content/swagger-ui.css", Need.NOTHING),
        ("/metrics", Need.NOTHING),
        ("/nowhere", Need.UNKNOWN),
        ("/annotated", Need.UNKNOWN),
        ("//annotate", Need.UNKNOWN),
        ("/ANNOTATE", Need.UNKNOWN),
        ("", Need.UNKNOWN),
    ],
)  # fmt: skip
def test_the_longest_path_decides(path: str, need: Needed) -> None:
    assert RouteNeeds().of(path) == need


def test_metrics_may_need_a_key() -> None:
    assert RouteNeeds(open_metrics=False).of("/metrics") is Need.ANY_KEY


def test_a_scope_is_never_implied_by_another() -> None:
    require_scope(frozenset({"admin"}), "admin", where="/admin/reload")
    with pytest.raises(RequestError, match="SCOPE_MISSING"):
        require_scope(frozenset({"admin"}), "annotate", where="/annotate")
