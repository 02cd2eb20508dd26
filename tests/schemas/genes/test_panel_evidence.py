"""Input refused by what its genes carry, and types named of which it says little."""

import numpy as np
import pytest

from cellmark.schemas.errors import GeneOverlapError, ParameterError
from cellmark.schemas.genes.gene_panel import GenePanel, overlap_findings
from cellmark.schemas.genes.panel_evidence import PanelEvidence, check_attribution_share

GENES = ("A", "B", "C", "D", "E", "F")
PER_TYPE = np.array([[0.6, 0.1, 0.1, 0.1, 0.05, 0.05], [0.0, 0.0, 0.1, 0.1, 0.3, 0.5]])
EVIDENCE = PanelEvidence(PER_TYPE.mean(axis=0), PER_TYPE, ("T", "B"), min_mass=0.6, min_type_mass=0.75)
PANEL = GenePanel(GENES, evidence=EVIDENCE)


def found(names: str, **floors: float) -> list[tuple[str, str]]:
    given = np.array(list(names))
    return [
        (finding.code, finding.severity)
        for finding in overlap_findings(PANEL, PANEL.match(given), given, **floors)  # type: ignore[arg-type]
    ]


def test_two_genes_of_six_can_be_too_few_while_they_carry_enough_and_the_reverse() -> None:
    # A and F carry (.65 + .5) / 2 = .575 of the mass; without A there is .7 of it.
    assert found("AF", min_share=0.3) == [("GENES_INSUFFICIENT", "error")]
    assert found("AF", min_share=0.3, min_mass=0.57) == [("GENES_THIN_FOR_TYPES", "warning")]
    assert found("AF", min_share=0.5, min_mass=0.57)[0] == ("TOO_FEW_GENES", "error")
    assert found("BCDEF") == [("GENES_THIN_FOR_TYPES", "warning")]
    assert found("BCDE") == [("GENES_INSUFFICIENT", "error")]
    assert found("ABCDEF") == []


def test_a_refusal_names_the_genes_that_matter_most() -> None:
    given = np.array(["B", "C", "D"])
    (finding,) = overlap_findings(PANEL, PANEL.match(given), given)
    assert finding.examples == ("A", "F", "E")
    assert "25.0%" in finding.found
    assert "60.0%" in finding.expected
    assert "A, F, E" in finding.remedy
    assert "--min-attribution-share" in finding.remedy


def test_too_few_genes_are_also_named_by_importance() -> None:
    given = np.array(["B", "C"])
    first, second = overlap_findings(PANEL, PANEL.match(given), given)
    assert (first.code, second.code) == ("TOO_FEW_GENES", "GENES_INSUFFICIENT")
    assert first.examples == ("A", "F", "E", "D")


def test_a_warning_names_each_thin_type_with_the_genes_that_it_lacks() -> None:
    given = np.array(["B", "C", "D", "E", "F"])
    (finding,) = overlap_findings(PANEL, PANEL.match(given), given)
    assert "T" in finding.found
    assert "B" not in finding.found.removeprefix("less for")
    assert finding.examples == ("T: 40%, without A",)
    given = np.array(["A", "B", "C", "D", "E"])
    (finding,) = overlap_findings(PANEL, PANEL.match(given), given)
    assert finding.examples == ("B: 50%, without F",)


def test_without_measured_floors_only_the_number_of_genes_counts() -> None:
    unmeasured = GenePanel(GENES, evidence=PanelEvidence(EVIDENCE.shares, PER_TYPE, ("T", "B")))
    for panel in (unmeasured, GenePanel(GENES)):
        given = np.array(["B", "C", "D"])
        assert overlap_findings(panel, panel.match(given), given) == ()
    given = np.array(["B", "C", "D"])
    (finding,) = overlap_findings(unmeasured, unmeasured.match(given), given, min_mass=0.3)
    assert finding.code == "GENES_INSUFFICIENT"


def test_alignment_refuses_too() -> None:
    import scipy.sparse as sp

    with pytest.raises(GeneOverlapError, match="GENES_INSUFFICIENT"):
        PANEL.align(sp.csr_matrix((1, 3)), np.array(["B", "C", "D"]))


def test_a_type_without_attributions_is_never_thin() -> None:
    evidence = PanelEvidence(np.array([0.5, 0.5]), np.array([[0.5, 0.5], [0.0, 0.0]]), ("T", "B"), 0.1, 0.9)
    np.testing.assert_array_equal(evidence.type_masses(np.array([True, False])), [0.5, 1.0])


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_floor_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ParameterError, match="min_attribution_share"):
        check_attribution_share(share, EVIDENCE)


def test_a_floor_for_a_model_without_shares_is_refused() -> None:
    check_attribution_share(None, None)
    check_attribution_share(0.0, EVIDENCE)
    with pytest.raises(ParameterError, match="train the model again"):
        check_attribution_share(0.5, None)
