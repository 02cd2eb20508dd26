"""Labels take few values, whatever is asked for."""

import pytest

from cellmark.serving.observe.route_names import OTHER, RouteNames

NAMES = RouteNames(["/", "/annotate", "/jobs/{job_id}", "/models/{name}/versions/{version}/annotate", "/a.b"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "/"),
        ("/annotate", "/annotate"),
        ("/jobs/17", "/jobs/{job_id}"),
        ("/models/pbmc/versions/3/annotate", "/models/{name}/versions/{version}/annotate"),
        ("/jobs/", OTHER),
        ("/jobs/17/result", OTHER),
        ("/aXb", OTHER),
        ("/annotate/", OTHER),
        ("/jobs/{job_id}/\n", OTHER),
        ("", OTHER),
    ],
)
def test_a_path_has_the_name_of_its_route(path: str, name: str) -> None:
    assert NAMES.of(path) == name
