import re

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.drift.cells_within_types import CellsWithinTypes
from cellmark.schemas.drift.compare_cells import compare_cells
from cellmark.schemas.drift.reference_plane import plane_of_cells
from cellmark.schemas.drift.spreads import AT, Spread, cells_in_plane, spreads_of
from cellmark.schemas.reference_profile import BEST, UNASSIGNED_CELL, ReferenceProfile, describe_cells
from cellmark.schemas.report.drift_pictures import composition_chart, is_off, plane_chart, spread_charts

TYPES = ["beta", "alpha", "<i>rare</i>"]


def drawn(n_cells: int = 600, *, seed: int = 0, depth: float = 1.0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            BEST: np.array(TYPES, dtype=object)[generator.choice(3, n_cells, p=[0.6, 0.38, 0.02])],
            UNASSIGNED_CELL: generator.random(n_cells) < 0.03,
            "confidence": generator.uniform(0.5, 1, n_cells),
            "library_size": generator.lognormal(8, 0.4, n_cells) * depth,
        }
    )


@pytest.fixture
def profile() -> ReferenceProfile:
    return describe_cells(drawn(2000), TYPES, part="test", refuses=True)


def test_spreads_are_the_quantiles_of_each_type_beside_those_of_the_profile(profile: ReferenceProfile) -> None:
    cells = drawn(seed=1)
    found = {(one.measure, one.cell_type): one for one in spreads_of(CellsWithinTypes(cells, profile))}
    assert {measure for measure, _ in found} == {"confidence", "library_size"}
    beta = found["library_size", "beta"]
    own = cells.loc[cells[BEST] == "beta", "library_size"]
    assert beta.observed == pytest.approx(tuple(own.quantile(list(AT))))
    quantiles = profile.cell_types["beta"].library_size
    assert quantiles is not None
    assert beta.expected == tuple(quantiles[place] for place in (0, 4, 9, 14, 18))
    assert found["library_size", "<i>rare</i>"].observed is None, "fewer than 20 cells are no distribution"


@pytest.mark.parametrize(("median", "off"), [(1.0, False), (5.0, False), (5.1, True), (0.9, True)])
def test_a_median_beyond_90_percent_of_held_out_cells_is_marked(median: float, off: bool) -> None:
    spread = Spread("novelty", None, 100, (0, 0, median, 9, 9), (1.0, 2.0, 3.0, 4.0, 5.0))
    assert is_off(spread) is off


def test_bars_lie_where_their_numbers_are(profile: ReferenceProfile) -> None:
    """On an axis of library size, a tenth of the depth lies as far to the left for every type."""
    charts = dict(spread_charts(compare_cells(drawn(seed=1, depth=0.1), profile)))
    assert set(charts) == {"confidence", "library size"}
    bars = re.findall(
        r'<rect x="([\d.]+)" y="[\d.]+" width="[\d.]+" height="8" [^>]*class="(ref|new|off)"', charts["library size"]
    )
    assert [kind for _, kind in bars] == ["ref", "off"] * 3
    starts = np.array([float(x) for x, _ in bars]).reshape(-1, 2)
    gaps = starts[:, 0] - starts[:, 1]
    assert gaps.min() > 100
    assert np.ptp(gaps) < 0.15 * gaps.mean()
    calm = [kind for _, kind in re.findall(r'height="8" ([^>]*)class="(ref|new|off)"', charts["confidence"])]
    assert "off" not in calm


def test_composition_shows_both_shares_of_every_type_and_of_unassigned_cells(profile: ReferenceProfile) -> None:
    report = compare_cells(drawn(seed=1), profile)
    chart = str(composition_chart(report))
    assert "<i>" not in chart
    widths = [
        (kind, float(width)) for width, kind in re.findall(r'width="([\d.]+)" height="10"[^>]*class="(ref|new)"', chart)
    ]
    assert [kind for kind, _ in widths] == ["ref", "new"] * 4
    beta = report.cell_types[0]
    assert widths[1][1] / widths[0][1] == pytest.approx(beta.share / beta.expected_share, rel=0.01)


def test_names_on_the_plane_are_no_markup_and_squares_hold_all_cells(profile: ReferenceProfile) -> None:
    generator, codes = np.random.default_rng(0), np.arange(300) % 3
    embedding = generator.normal(size=(300, 4)) + 9 * np.eye(3, 4)[codes]
    plane = plane_of_cells(embedding, codes, codes, TYPES)
    assert plane is not None
    lying = cells_in_plane(plane, plane.places(embedding), codes == 1)
    chart = str(plane_chart(lying))
    assert "<i>" not in chart
    assert chart.count("<ellipse") == 2 * len(TYPES)
    told = [int(n) for n in re.findall(r"<title>(\d+) cells", chart)]
    assert sum(told) == 300
    orange = re.findall(r'<rect[^>]*class="off"[^>]*><title>(\d+) cells', chart)
    assert sum(map(int, orange)) == pytest.approx(100, abs=5), "types lie apart, so squares are of one type"
