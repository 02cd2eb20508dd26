"""Drift: what is told of cells whose difference from the held-out cells is known, because it was made."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import stats

from cellmark.schemas.drift.cells_within_types import beyond_chance, expected_detection, ks_distance
from cellmark.schemas.drift.compare_cells import compare_cells
from cellmark.schemas.drift.drift_report import LIMITS, DriftReport, PanelFacts
from cellmark.schemas.drift.drift_words import plain_report, verdict
from cellmark.schemas.reference_profile import (
    BEST,
    FEWEST_CELLS,
    LEVELS,
    MEASURES,
    UNASSIGNED_CELL,
    DonorEffects,
    ReferenceProfile,
    describe_cells,
)
from cellmark.schemas.report.render import render_drift
from fixtures.places import ROOT

DEPTH = {"T cell": 2000.0, "B cell": 3000.0, "Monocyte": 6000.0}
TYPES = list(DEPTH)
SHARES = (0.6, 0.3, 0.1)
EVEN = (0.1, 0.3, 0.6)


def draw(n_cells: int = 4000, *, seed: int = 0, shares: tuple[float, ...] = SHARES) -> pd.DataFrame:
    """Cells whose depth, genes, mitochondria, confidence and novelty depend on the type; 2 % are unassigned."""
    generator = np.random.default_rng(seed)
    names = generator.choice(TYPES, n_cells, p=shares)
    depth = np.array([DEPTH[name] for name in names])
    novelty = generator.normal(depth / 6000, 0.5)
    library_size = np.rint(depth * generator.lognormal(0, 0.35, n_cells))
    return pd.DataFrame(
        {
            BEST: names.astype(object),
            UNASSIGNED_CELL: generator.random(n_cells) < 0.02,
            "confidence": 1 - generator.beta(0.3, 6, n_cells),
            "novelty": novelty,
            "library_size": library_size,
            "genes_detected": np.rint(library_size**0.85),
            "mitochondrial_share": generator.beta(2, 60, n_cells) + depth / 200_000,
        }
    )


@pytest.fixture(scope="module")
def profile() -> ReferenceProfile:
    return describe_cells(draw(), TYPES, part="test", refuses=True)


def severities(report: DriftReport) -> dict[str, str | None]:
    return {measure.name: measure.severity for measure in report.measures}


def test_the_very_cells_do_not_drift(profile: ReferenceProfile) -> None:
    report = compare_cells(draw(), profile)
    assert report.severity == "ok"
    assert verdict(report) == "As held-out cells."
    for name in MEASURES:
        assert report.measure(name).ks == pytest.approx(0, abs=1e-3)
        assert report.measure(name).observed == pytest.approx(report.measure(name).expected)
    assert report.measure("library_size").effect == pytest.approx(1)
    assert report.measure("mitochondrial_share").effect == pytest.approx(0, abs=1e-12)
    assert report.measure("novelty").effect == pytest.approx(0.05, abs=0.003)
    assert report.measure("confidence").effect == pytest.approx(0.05, abs=0.003)
    assert report.measure("composition").effect == 0
    assert report.measure("unassigned").effect == 0
    assert [one.outside for one in report.cell_types] == [False] * 3


@pytest.mark.parametrize("n_cells", [60, 400, 4000])
def test_other_cells_of_the_same_kind_do_not_drift(profile: ReferenceProfile, n_cells: int) -> None:
    for seed in range(1, 21):
        report = compare_cells(draw(n_cells, seed=seed), profile)
        assert report.severity == "ok", verdict(report)
        assert report.measure("composition").severity == "ok"


def test_another_composition_alone_is_told_and_is_no_fault(profile: ReferenceProfile) -> None:
    """Monocytes are three times as deep here: of all cells the median doubles, of each type it stays."""
    report = compare_cells(draw(seed=1, shares=EVEN), profile)
    depth = report.measure("library_size")
    assert depth.observed is not None
    assert depth.expected is not None
    assert depth.observed / depth.expected > 1.7
    assert depth.effect == pytest.approx(1, abs=0.03)
    assert report.severity == "ok"
    composition = report.measure("composition")
    assert composition.effect == pytest.approx(0.5, abs=0.03)
    assert composition.severity == "far"
    text = verdict(report)
    assert text.startswith("As held-out cells. Other composition, no fault by itself: ")
    shares = re.search(r"T cell (\d+) % against (\d+) %", text)
    assert shares is not None
    assert [int(share) for share in shares.groups()] == [pytest.approx(10, abs=2), pytest.approx(60, abs=3)]


def test_a_type_that_is_not_there_is_composition(profile: ReferenceProfile) -> None:
    cells = draw()
    report = compare_cells(cells[cells[BEST] != "B cell"], profile)
    (row,) = [one for one in report.cell_types if one.cell_type == "B cell"]
    assert (row.n_cells, row.share, row.outside) == (0, 0, None)
    assert report.measure("composition").effect == pytest.approx(0.3, abs=0.02)
    assert report.severity == "ok"


@pytest.mark.parametrize(
    ("factor", "severity"), [(0.8, "ok"), (0.6, "moved"), (0.2, "far"), (1.6, "moved"), (5, "far")]
)
def test_a_changed_depth_is_told_by_its_factor(profile: ReferenceProfile, factor: float, severity: str) -> None:
    cells = draw(seed=2)
    cells["library_size"] *= factor
    depth = compare_cells(cells, profile).measure("library_size")
    assert depth.effect == pytest.approx(factor, rel=0.04)
    assert depth.severity == severity


@pytest.mark.parametrize(("factor", "severity"), [(0.6, "ok"), (0.52, "moved"), (0.3, "moved"), (0.2, "far")])
def test_what_a_training_donor_shows_is_no_drift_and_twice_that_is_far(
    profile: ReferenceProfile, factor: float, severity: str
) -> None:
    """The limit of ratios is a square: donors that differ by 1.8 times make 3.2, below the convention of 4."""
    donors = {
        "a": DonorEffects(n_cells=500, effects={"library_size": 1 / 1.8, "detection": 0.02}),
        "b": DonorEffects(n_cells=500, effects={"library_size": 1.4, "detection": 0.01}),
    }
    with_donors = profile.model_copy(update={"donors": donors})
    cells = draw(seed=2)
    cells["library_size"] *= factor
    report = compare_cells(cells, with_donors)
    limits = report.limits["library_size"]
    assert (limits.donors, limits.moved, limits.far) == pytest.approx((1.8, 1.8, 4.0))
    assert report.limits["detection"].moved == LIMITS["detection"].moved
    assert report.measure("library_size").severity == severity
    text = verdict(report)
    assert ("No more than training donors differ by: library size 4" in text) == (severity == "ok")
    wide = {"a": DonorEffects(n_cells=500, effects={"library_size": 3.0})}
    assert compare_cells(cells, profile.model_copy(update={"donors": wide})).limits["library_size"].far == 9.0
    page = render_drift(report)
    assert "up to ×\u00a01.80" in page


def test_the_verdict_is_in_a_biologists_words(profile: ReferenceProfile) -> None:
    cells = draw()
    cells["library_size"] *= 0.6
    cells[UNASSIGNED_CELL] = np.arange(len(cells)) % 9 == 0
    cells.loc[cells[BEST] == "T cell", "novelty"] += 2
    text = verdict(compare_cells(cells, profile))
    assert text.startswith("Far from the training data: ")
    assert "library size 40 % lower within types" in text
    expected = profile.overall.unassigned
    assert expected is not None
    assert f"11 % unassigned against {100 * expected:.1f} % expected" in text
    assert re.search(r"T cell(, Monocyte)? outside the training range", text)
    assert "composition" not in text


def test_strange_cells_of_one_type_are_told_of_that_type_alone(profile: ReferenceProfile) -> None:
    """A rare type's drift is lost in all cells, and must still be told."""
    cells = draw(seed=3)
    cells.loc[cells[BEST] == "Monocyte", "novelty"] += 1.5
    report = compare_cells(cells, profile)
    assert {one.cell_type: one.outside for one in report.cell_types} == {
        "T cell": False, "B cell": False, "Monocyte": True
    }  # fmt: skip
    assert report.measure("novelty").severity == "ok"
    assert report.severity == "moved"


def test_a_lower_novelty_or_a_higher_confidence_is_no_drift(profile: ReferenceProfile) -> None:
    cells = draw()
    cells["novelty"] -= 5
    cells["confidence"] = 1.0
    report = compare_cells(cells, profile)
    assert report.measure("novelty").effect == 0
    assert report.measure("confidence").effect == 0
    assert report.severity == "ok"


def test_novelty_that_is_no_number_counts_as_strange(profile: ReferenceProfile) -> None:
    cells = draw()
    cells.loc[::2, "novelty"] = np.nan
    assert compare_cells(cells, profile).measure("novelty").severity == "far"


def test_what_was_not_measured_is_null_and_said(profile: ReferenceProfile) -> None:
    calls = draw()[[BEST, UNASSIGNED_CELL, "confidence", "novelty"]]
    report = compare_cells(calls, profile)
    for name in ("library_size", "genes_detected", "mitochondrial_share", "panel_overlap", "detection"):
        measure = report.measure(name)
        assert (measure.observed, measure.effect, measure.severity) == (None, None, None)
        assert measure.reason
    assert report.severity == "ok"
    assert report.genes == ()


def test_a_model_without_novelty_has_no_such_measures() -> None:
    old = draw().assign(novelty=np.nan, unassigned=False)
    profile = describe_cells(old, TYPES, part="validation", refuses=False)
    assert profile.overall.novelty is None
    report = compare_cells(draw(seed=1).assign(novelty=np.nan, unassigned=False), profile)
    assert report.measure("novelty").severity is report.measure("unassigned").severity is None
    assert [one.outside for one in report.cell_types] == [None] * 3
    assert report.severity == "ok"


def test_too_few_cells_are_not_judged(profile: ReferenceProfile) -> None:
    report = compare_cells(draw(FEWEST_CELLS - 1).assign(library_size=1.0), profile)
    assert report.severity is None
    assert verdict(report).startswith("Not judged")


def test_cells_that_all_stay_unassigned_have_no_composition(profile: ReferenceProfile) -> None:
    report = compare_cells(draw().assign(unassigned=True), profile)
    assert report.measure("composition").effect is None
    assert report.measure("unassigned").severity == "far"
    assert "100 % unassigned" in verdict(report)


def panel(*, missing: int = 0, shift: float = 0.0) -> PanelFacts:
    expected = np.linspace(0.1, 0.7, 100)
    observed = expected + shift
    observed[:missing] = np.nan
    return PanelFacts([f"GENE{number}" for number in range(100)], observed, expected, 0.9)


@pytest.mark.parametrize(("missing", "severity"), [(0, "ok"), (9, "ok"), (10, "moved"), (30, "far")])
def test_genes_that_were_not_measured_are_panel_overlap(profile: ReferenceProfile, missing: int, severity: str) -> None:
    report = compare_cells(draw(), profile, panel=panel(missing=missing))
    overlap = report.measure("panel_overlap")
    assert overlap.observed == pytest.approx(1 - missing / 100)
    assert overlap.severity == severity
    assert report.measure("detection").effect == 0
    assert report.genes == ()


def test_the_genes_that_moved_most_come_first(profile: ReferenceProfile) -> None:
    facts = panel(shift=-0.06)
    facts.observed[40] += 0.5
    report = compare_cells(draw(), profile, panel=facts, top=3)
    assert report.genes[0].gene == "GENE40"
    assert report.genes[0].difference == pytest.approx(0.44)
    assert len(report.genes) == 3
    assert report.measure("detection").severity == "moved"


@pytest.mark.parametrize("n_cells", [50, 200, 5000])
def test_rates_of_few_cells_are_off_by_chance_and_that_is_no_drift(profile: ReferenceProfile, n_cells: int) -> None:
    generator, expected = np.random.default_rng(0), np.linspace(0.02, 0.9, 500)
    drawn = generator.binomial(n_cells, expected) / n_cells
    assert n_cells > 50 or np.abs(drawn - expected).mean() > 0.04
    same = compare_cells(draw(n_cells), profile, panel=PanelFacts([""] * 500, drawn, expected)).measure("detection")
    assert same.effect is not None
    assert same.effect < 0.015
    shifted = np.clip(expected - 0.08, 0, 1)
    drawn = generator.binomial(n_cells, shifted) / n_cells
    other = compare_cells(draw(n_cells), profile, panel=PanelFacts([""] * 500, drawn, expected)).measure("detection")
    assert other.effect == pytest.approx(0.08, abs=0.02)
    assert other.severity == "moved"


def test_a_rate_of_a_little_more_than_one_is_one(profile: ReferenceProfile) -> None:
    """As shares of types that are summed can be."""
    facts = PanelFacts(["A", "B"], np.array([1.0, 0.5]), np.array([1.0 + 1e-12, 0.5]))
    assert compare_cells(draw(), profile, panel=facts).measure("detection").effect == 0


def test_ks_at_quantiles_is_scipys_within_one_step() -> None:
    generator = np.random.default_rng(0)
    for shift in (0.0, 0.3, 1.0, 3.0):
        one, other = generator.normal(0, 1, 3000), generator.normal(shift, 1.2, 2000)
        exact = stats.ks_2samp(one, other).statistic
        found = ks_distance(other, np.quantile(one, LEVELS))
        assert exact - 0.05 <= found <= exact + 0.002


def test_ks_of_equal_values_is_zero() -> None:
    values = np.repeat([0.0, 0.0, 0.0, 1.0], 50)
    assert ks_distance(values, np.quantile(values, LEVELS)) == 0
    assert ks_distance(np.ones(50), np.quantile(values, LEVELS)) == pytest.approx(0.75)


def test_a_difference_by_chance_is_rarely_told() -> None:
    generator = np.random.default_rng(0)
    told = [
        beyond_chance(
            generator.binomial(200, 0.05) / 200, generator.binomial(500, 0.05) / 500, n_cells=200, n_expected=500
        )
        for _ in range(2000)
    ]
    assert np.mean(told) < 0.01
    assert beyond_chance(0.2, 0.05, n_cells=200, n_expected=500)


def test_detection_is_expected_by_the_composition() -> None:
    genes = pd.DataFrame({"gene_symbol": ["A", "B", "C"], "fraction_expressing": [0.5, 0.5, 0.25]})
    markers = pd.DataFrame(
        {
            "cell_type": ["T cell", "T cell", "B cell", "B cell", "T cell"],
            "gene_symbol": ["A", "B", "A", "B", "C"],
            "fraction_in": [1.0, 0.2, 0.0, 0.8, 0.9],
        }
    )
    found = expected_detection(genes, markers, {"T cell": 0.9, "B cell": 0.1})
    np.testing.assert_allclose(found, [0.9, 0.26, 0.25])
    np.testing.assert_allclose(expected_detection(genes, markers[["cell_type"]], {"T cell": 1.0}), [0.5, 0.5, 0.25])


def test_few_cells_leave_no_quantiles_behind() -> None:
    cells = draw(200)
    few = pd.concat([cells[cells[BEST] != "Monocyte"], cells[cells[BEST] == "Monocyte"][: FEWEST_CELLS - 1]])
    rare = describe_cells(few, TYPES, part="test", refuses=True).cell_types["Monocyte"]
    assert rare.n_cells <= FEWEST_CELLS - 1
    assert rare.model_dump(exclude={"n_cells", "n_asked"}) == dict.fromkeys(["unassigned", *MEASURES])


def test_a_profile_comes_back_from_its_bytes(profile: ReferenceProfile) -> None:
    assert ReferenceProfile.model_validate_json(profile.to_bytes()) == profile


@pytest.mark.parametrize("wrong", [[1.0] * 18, [2.0, *[1.0] * 18], [float("nan")] * 19])
def test_a_profile_of_another_form_is_refused(profile: ReferenceProfile, wrong: list[float]) -> None:
    raw = profile.model_dump()
    raw["overall"]["novelty"] = wrong
    with pytest.raises(ValidationError):
        ReferenceProfile.model_validate(raw)


def test_the_report_is_strict_json_with_its_verdict_and_limits(profile: ReferenceProfile) -> None:
    text = json.dumps(plain_report(compare_cells(draw(), profile, panel=panel(missing=5))), allow_nan=False)
    loaded = json.loads(text)
    assert loaded["verdict"] == "As held-out cells."
    assert loaded["limits"]["library_size"]["moved"] == LIMITS["library_size"].moved
    assert {measure["name"] for measure in loaded["measures"]} == set(LIMITS)


def test_names_on_the_page_are_no_markup(profile: ReferenceProfile) -> None:
    facts = panel(shift=0.1)
    genes = ["<script>alert(1)</script>", *facts.genes[1:]]
    report = compare_cells(
        draw(), profile, panel=PanelFacts(genes, facts.observed, facts.expected), top=100, facts={"input": "<b>x.h5ad"}
    )
    page = render_drift(report)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<b>" not in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


@pytest.mark.parametrize(("refused", "outside"), [(0.3, None), (0.8, True)])
def test_a_type_with_few_held_out_cells_is_told_only_when_most_stay_unassigned(
    refused: float, outside: bool | None
) -> None:
    held_out = draw(400)
    few = held_out[(held_out[BEST] != "Monocyte") | (np.cumsum(held_out[BEST] == "Monocyte") < 8)]
    profile = describe_cells(few, TYPES, part="test", refuses=True)
    cells = draw(seed=1)
    rare = (cells[BEST] == "Monocyte").to_numpy()
    cells.loc[rare, UNASSIGNED_CELL] = np.arange(rare.sum()) < refused * rare.sum()
    (row,) = [one for one in compare_cells(cells, profile).cell_types if one.cell_type == "Monocyte"]
    assert row.outside is outside


def test_the_page_states_every_limit() -> None:
    page = (ROOT / "docs" / "drift.md").read_text(encoding="utf-8")
    for name, limits in LIMITS.items():
        assert f"| `{name}` | {limits.effect} | {limits.moved:g} | {limits.far:g} |" in page
