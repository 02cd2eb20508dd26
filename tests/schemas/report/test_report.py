"""The report and the model card say what the facts say, escape what others wrote, and call what is missing so."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import yaml
from markdown_it import MarkdownIt

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import BundleError, ParameterError
from cellmark.schemas.manifest.bundle_files import (
    CELL_MAP,
    MODEL_CARD,
    REFERENCE_PLANE,
    REPORT,
    TRAINING_SUMMARY,
    WORKED_EXAMPLES,
)
from cellmark.schemas.manifest.manifest_evaluation import Estimate, JudgedCells
from cellmark.schemas.manifest.manifest_ontology import OntologyEntry, OntologyTerm
from cellmark.schemas.manifest.manifest_trust import DistilledEntry
from cellmark.schemas.manifest.training_summary import summarize_training
from cellmark.schemas.report.evidence import evidence_of
from cellmark.schemas.report.facts import read_examples, read_facts, read_spread
from cellmark.schemas.report.headline import tiles, warnings
from cellmark.schemas.report.render import render_model_card, render_report
from cellmark.schemas.report.svg import clip_all
from fixtures import full_report as made
from fixtures.places import ARCHIVES

if TYPE_CHECKING:
    from cellmark.schemas.report.facts import ReportFacts
    from cellmark.training.run import TrainedModel

SECTIONS = ("summary", "use", "accuracy", "confidence", "unknown", "partial", "types", "map", "data", "reference",
            "run", "origin")  # fmt: skip
VOID = {"meta", "link", "br", "input", "rect", "circle", "path"}


class Page(HTMLParser):
    """Elements, ids and text of a page; fails on an element that is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value for name, value in attrs if name == "href" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag
        elif tag in self.open[-1:]:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def full() -> str:
    return render_report(made.full_facts())


def test_every_measure_is_told_with_its_interval_and_source(full: str) -> None:
    text = Page(full).text
    for shown in ("0.923", "95 % interval 0.903 to 0.943, bootstrap over donors", "logistic regression 0.901", "1.2 %",
                  "6.1 % before", "0.932", "98.7 %", "1.31 types on average", "0.820", "0.0123",
                  "energy", "3.0 %"):  # fmt: skip
        assert shown in text, shown
    for source in ("evaluation.per_fold", "calibration", "novelty.left_out", "label_sets", "panel.overlap.curve",
                   "evaluation.depth", "evaluation.partial_panel", "cell_map.parquet", "markers.parquet",
                   "reference_profile.json · cell_types.*.novelty", "reference_profile.json · donors"):  # fmt: skip
        assert source in text, source
    assert "Not measured:" not in text
    assert '<li class="none">' not in full


def test_a_page_has_all_sections_each_id_once_and_no_link_into_nothing(full: str) -> None:
    page = Page(full)
    assert set(SECTIONS) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    inside = [link[1:] for link in page.links if link.startswith("#")]
    assert set(inside) <= set(page.ids)
    assert {link for link in page.links if not link.startswith("#")} == {"data:,"}


def test_the_yardstick_of_drift_is_shown_and_says_where_donors_lie(full: str) -> None:
    text = Page(full).text
    assert "This is the yardstick of cellmark drift cells.h5ad --model models:/full-model/7" in text
    # The widest of the two donors, 1 / 0.6 and 1.7 times, is where depth begins to count as moved.
    assert re.search(r"library size × 1\.70 × 0\.60 × 1\.70|library size × 0\.60 × 1\.70 × 1\.70", text)
    assert "mitochondrial share -1.2 points -1.2 points +3.0 points" in text
    without = render_report(replace(made.full_facts(), reference=None))
    assert "Not measured: what held-out cells looked like" in Page(without).text


def test_names_of_types_and_genes_are_text_and_nothing_else(full: str) -> None:
    page = Page(full)
    assert page.tags.count("script") == 2  # one of them is data
    assert len(re.findall(r"<script(?! type=\"application/json\")", full)) == 1
    assert "<script>alert" not in full
    assert made.HOSTILE in " ".join(page.words)
    assert "GENE<b>" in " ".join(page.words)
    assert "b" not in set(page.ids)
    for attribute in re.findall(r'aria-label="([^"]*)"', full):
        assert "<" not in attribute


def test_the_only_script_is_the_one_that_the_policy_names(full: str) -> None:
    import base64
    import hashlib

    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', full)
    script = re.search(r"<script>(.*?)</script>", full, flags=re.DOTALL)
    assert policy is not None
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1]
    assert "default-src 'none'" in policy[1]
    assert not re.search(r"(src|href)=\"https?:", full)
    assert " on" + "click=" not in full


def test_thirty_types_stay_small_and_the_same_facts_give_the_same_bytes(full: str) -> None:
    assert len(full.encode()) < 10_000_000
    assert render_report(made.full_facts()) == full


def test_two_types_and_no_markers_still_make_a_page() -> None:
    facts = made.full_facts(2)
    assert Page(render_report(facts)).tags.count("article") == 2
    Page(
        render_report(
            replace(facts, markers=facts.markers.iloc[:0], cell_map=None, training=None, identity=None, reference=None)
        )
    )


def test_an_archived_bundle_has_a_report_that_says_what_was_not_measured() -> None:
    facts = read_facts(Bundle.open(ARCHIVES / "v1"))
    text = Page(render_report(facts)).text
    for missing in ("calibration", "label sets", "novelty", "accuracy with fewer counts", "folds, intervals"):
        assert f"Not measured: {missing}" in text
    assert "the bundle holds no map of cells" in text
    assert facts.manifest.bundle_digest in text
    assert "not measured" in render_model_card(facts)


def test_evidence_is_thin_where_cells_are_few_or_calls_are_wrong() -> None:
    facts = made.full_facts(4, n_cells=600)
    manifest = facts.manifest
    few = {**manifest.split.train.cells_per_type, manifest.cell_type_names[2]: 49}
    train = manifest.split.train.model_copy(update={"cells_per_type": few})
    facts = replace(facts, manifest=manifest.model_copy(update={"split": manifest.split.model_copy(
        update={"train": train})}))  # fmt: skip
    words = [[word for word, _ in one.thin] for one in evidence_of(facts)]
    assert "few cells" in words[2]
    assert "few cells" not in words[3]
    assert ["low recall" in of for of in words] == [True, False, True, False]  # 0.75 and 0.95 by turns


def test_a_cards_front_matter_is_yaml_and_its_tables_are_whole() -> None:
    card = render_model_card(made.full_facts())
    _, front, body = card.split("---\n", 2)
    meta = yaml.safe_load(front)
    assert meta["library_name"] == "cellmark"
    assert meta["model-index"][0]["results"][0]["metrics"][0] == {"type": "accuracy", "value": 0.9231}
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == 8
    assert "html_block" not in kinds
    sizes = [
        len(re.findall(r"tr_open", " ".join(part.split()))) - 1 for part in " ".join(kinds).split("table_open")[1:]
    ]
    # Details; types; headlines; parts and rivals; calibration; types left out; sets; depths and shares of the panel.
    assert sizes == [6, 30, 6, 4, 2, 30, 1, 8]
    inline = [child for token in tokens for child in token.children or []]
    assert "html_inline" not in [child.type for child in inline]
    assert made.HOSTILE in "".join(child.content for child in inline)
    assert next(token.content for token in tokens if token.type == "inline") == "full-model"


def test_training_writes_both_texts_the_map_and_the_summary(trained: "TrainedModel") -> None:
    bundle = trained.bundle
    assert {REPORT, MODEL_CARD, CELL_MAP, TRAINING_SUMMARY} <= set(bundle.manifest.files)
    cells = pd.read_parquet(bundle.path(CELL_MAP))
    assert set(cells.columns) == {"x", "y", "label", "call", "confidence", "novelty", "part"}
    assert len(cells) == len(trained.split.test)
    calls = trained.test_calls
    assert (cells["label"] == cells["call"]).sum() == (calls["label"] == calls["call"]).sum()
    assert np.sort(cells["confidence"]) == pytest.approx(np.sort(calls["confidence"]), abs=1e-3)
    page = bundle.path(REPORT).read_text(encoding="utf-8")
    assert bundle.manifest.created not in page
    assert bundle.digest not in page
    assert bundle.manifest.files["annotator.onnx"].sha256 in page
    text = Page(page).text
    for cell_id in trained.cells.cell_ids[:20]:
        assert str(cell_id) not in text


def test_a_report_from_the_bundle_is_the_one_of_training_but_for_the_identity(trained: "TrainedModel") -> None:
    facts = replace(read_facts(trained.bundle), identity=None)
    assert render_report(facts).encode() == trained.bundle.path(REPORT).read_bytes()
    assert render_model_card(facts).encode() == trained.bundle.path(MODEL_CARD).read_bytes()


def test_the_command_writes_page_and_card_and_refuses_to_overwrite(
    tiny_bundle: Bundle, tmp_path: Path, cellmark: Callable[..., SimpleNamespace]
) -> None:
    page, card = tmp_path / "report.html", tmp_path / "card.md"
    assert cellmark("report", "--model", tiny_bundle.folder, "-o", page).status == 0
    assert tiny_bundle.digest in page.read_text(encoding="utf-8")
    assert cellmark("report", "--model", tiny_bundle.folder, "-o", card).status == 0
    assert card.read_text(encoding="utf-8").startswith("---\n")
    again = cellmark("report", "--model", tiny_bundle.folder, "-o", page)
    assert again.status == 1
    assert "OUTPUT_EXISTS" in again.err
    other = cellmark("report", "--model", tiny_bundle.folder, "-o", tmp_path / "report.pdf")
    assert "OUTPUT_FORMAT_UNKNOWN" in other.err


def test_a_summary_of_another_form_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    from cellmark.schemas.manifest.bundle_files import write_manifest

    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle.folder, folder)
    (folder / TRAINING_SUMMARY).write_text('{"format_version": 2}')
    raw = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    write_manifest(folder, {name: value for name, value in raw.items() if name != "files"})
    with pytest.raises(BundleError, match=TRAINING_SUMMARY):
        read_facts(Bundle.open(folder))


def test_a_summary_has_the_quantiles_of_numpy_and_none_of_few_cells() -> None:
    codes = np.array([0] * 50 + [1] * 4)
    sizes = np.arange(54) * 10.0
    summary = summarize_training(
        codes, None, train=np.arange(54), library_size=sizes, genes_detected=sizes, cell_types=["a", "b"]
    )
    assert summary.cells == {"a": {"": 50}, "b": {"": 4}}
    assert summary.library_size == {
        "a": [pytest.approx(np.percentile(sizes[:50], q), abs=0.05) for q in (5, 25, 50, 75, 95)]
    }


@pytest.mark.parametrize(
    ("section", "changed"),
    [
        ("evaluation", {"per_fold": [], "per_type": {}, "confusion": [], "depth": [], "confidence": []}),
        ("evaluation", {"partial_panel": []}),
        ("evaluation", {"baseline_accuracy": None, "baseline_macro_f1": None}),
        ("novelty", {"left_out": [], "test_refusal_rate": None}),
        ("label_sets", {"levels": []}),
        ("calibration", None),
        ("novelty", None),
        ("label_sets", None),
        ("evaluation", None),
    ],
)
def test_a_section_that_lacks_something_still_makes_a_page(section: str, changed: dict[str, object] | None) -> None:
    facts = made.full_facts(3)
    entry = getattr(facts.manifest, section)
    entry = None if changed is None else entry.model_copy(update=changed)
    facts = replace(facts, manifest=facts.manifest.model_copy(update={section: entry}))
    assert set(SECTIONS) <= set(Page(render_report(facts)).ids)
    assert yaml.safe_load(render_model_card(facts).split("---\n", 2)[1])["library_name"] == "cellmark"


def test_without_the_map_no_cell_is_in_the_bundle(
    tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cellmark.training.config import TrainingConfig
    from cellmark.training.listener import Listener
    from cellmark.training.network.classifier import NetworkShape
    from cellmark.training.network.fit import FitSettings
    from cellmark.training.run import train

    # The test part has eight cells of each type: enough for the flat view of `drift`, were it made.
    monkeypatch.setattr("cellmark.schemas.drift.reference_plane.FEWEST_CELLS", 3)
    config = TrainingConfig(
        data=tiny_file, n_members=1, fit=FitSettings(shape=NetworkShape((16,)), max_epochs=3), cell_map=False
    )
    bundle = train(config, tmp_path / "bundle", Listener()).bundle
    assert not {CELL_MAP, REFERENCE_PLANE, WORKED_EXAMPLES} & set(bundle.manifest.files)
    spread = read_spread(bundle)
    assert spread is not None
    assert spread.bins is None
    assert spread.genes
    assert "the bundle holds no map of cells" in Page(bundle.path(REPORT).read_text(encoding="utf-8")).text


def test_real_examples_are_kept_on_request_and_marked(tiny_file: Path, tmp_path: Path) -> None:
    from cellmark.schemas.cells.read import open_cells
    from cellmark.training.config import TrainingConfig
    from cellmark.training.listener import Listener
    from cellmark.training.network.classifier import NetworkShape
    from cellmark.training.network.fit import FitSettings
    from cellmark.training.run import train

    config = TrainingConfig(
        data=tiny_file, n_members=1, fit=FitSettings(shape=NetworkShape((16,)), max_epochs=3), real_examples=True
    )
    bundle = train(config, tmp_path / "bundle", Listener()).bundle
    examples = read_examples(bundle)
    assert examples.kind == "real"
    with open_cells(tiny_file) as source:
        names = list(source.var_names)
        counts = np.vstack([chunk.X.toarray() for chunk in source.chunks(10_000)])
    for one in examples.examples:
        assert one.called == one.cell_type
        columns = [names.index(gene.gene_symbol) for gene in one.genes]
        same = (counts[:, columns] == [gene.count for gene in one.genes]).all(axis=1)
        assert same.any()
        assert one.library_size in counts[same].sum(axis=1)
    assert "A real cell of this type" in bundle.path(REPORT).read_text(encoding="utf-8")
    assert "counts of its strongest genes (`worked_examples.json`)" in render_model_card(read_facts(bundle))
    with pytest.raises(ParameterError, match="real_examples"):
        TrainingConfig(data=tiny_file, real_examples=True, cell_map=False)


def partly_learned() -> tuple["ReportFacts", dict[str, Any]]:
    """Facts of a model whose folds called all cells of type 3 wrongly, as they could not learn it; without those cells
    type 4 has 20 cells and type 3 two, of which one is right. The test part has 30 of type 3, all right, and 5 of 4.
    """
    facts = made.full_facts(4)
    assert facts.manifest.evaluation is not None
    third, fourth = facts.manifest.cell_type_names[2:]
    bad, good = ({"precision": 0.1, "recall": value, "f1": 0.1, "support": 90} for value in (0.01, 0.02))
    row = {"precision": 0.95, "recall": 0.9, "f1": 0.92}
    judged = {"n_cells": 22, "accuracy": 0.9, "macro_f1": 0.9, "confusion": np.diag([0, 0, 1, 20]).tolist(),
              "per_type": {third: {**row, "support": 2}, fourth: {**row, "support": 20}}}  # fmt: skip
    test = {"n_cells": 35, "accuracy": 1.0, "macro_f1": 1.0, "confusion": np.diag([0, 0, 30, 5]).tolist(),
            "per_type": {third: {**row, "recall": 0.97, "support": 30}, fourth: {**row, "support": 5}}}  # fmt: skip
    calibration = facts.manifest.calibration
    assert calibration is not None
    score = calibration.calibrated
    manifest = facts.manifest.model_copy(update={
        "evaluation": facts.manifest.evaluation.model_copy(update={
            "hardly_learned": {"d1": [third]}, "per_type": {third: bad, fourth: good},
            "judged": JudgedCells.model_validate(judged),
            "test_accuracy": Estimate(value=0.987, low=0.98, high=0.99), "test_macro_f1": Estimate(value=0.976),
        }),
        "metrics": {**facts.manifest.metrics, "test": test},
        "calibration": calibration.model_copy(update={
            "test_uncalibrated": score.model_copy(update={"expected_calibration_error": 0.0444}),
            "test_calibrated": score.model_copy(update={"expected_calibration_error": 0.0333}),
        }),
    })  # fmt: skip
    return replace(facts, manifest=manifest), {"third": third, "fourth": fourth}


def with_test_cells(support: int, right: int, *, third: int = 200) -> "ReportFacts":
    """Facts of four types that folds found well. `right` of `support` test cells of the second are called so, the
    others as the first. The third has `third` test cells.
    """
    facts = made.full_facts(4, n_cells=600)
    names = facts.manifest.cell_type_names
    good = {"precision": 0.99, "recall": 0.99, "f1": 0.99, "support": 200}
    confusion = np.diag([200, right, third, 200])
    confusion[1, 0] = support - right
    test = dict.fromkeys(names, good)
    test[names[1]] = {**good, "recall": right / support, "support": support}
    test[names[2]] = {**good, "support": third}
    part = {**facts.manifest.metrics["test"], "per_type": test, "confusion": confusion.tolist()}
    assert facts.manifest.evaluation is not None
    folds = facts.manifest.evaluation.model_copy(update={"per_type": dict.fromkeys(names, good)})
    update = {"evaluation": folds, "metrics": {"test": part}}
    return replace(facts, manifest=facts.manifest.model_copy(update=update))


def test_test_cells_that_are_called_another_type_count_as_doubts() -> None:
    facts = with_test_cells(71, 56)
    first, second, *_ = evidence_of(facts)
    assert "no doubts found" in render_report(facts)
    assert dict(second.thin)["low recall on test cells"] == (
        f"Found in 78.9 % of its cells (71 test cells); the others are called {first.name} (21 %)."
    )
    assert second.tested_on.startswith("cells of left-out donors")
    assert not [word for word, _ in evidence_of(with_test_cells(71, 70))[1].thin if "recall" in word]
    assert second.name in warnings(facts, evidence_of(facts))[-2]


def test_what_nine_cells_tell_is_counted_and_no_score_is_made_of_it() -> None:
    few, enough = with_test_cells(9, 2), with_test_cells(10, 2)
    assert not [word for word, _ in evidence_of(few)[1].thin if "recall" in word]
    assert [word for word, _ in evidence_of(enough)[1].thin if "recall" in word] == ["low recall on test cells"]
    for facts, support in ((few, 9), (enough, 10)):
        alone = replace(facts, manifest=facts.manifest.model_copy(update={"evaluation": None}))
        one = evidence_of(alone)[1]
        assert (one.tested or {})["support"] == support
        assert (one.scored is None) == (support == 9)
        assert (f"2 of {support}</td>" in render_report(alone)) == (support == 9)


def test_a_headline_that_a_few_cells_of_a_type_decide_says_so_or_is_not_made() -> None:
    facts = with_test_cells(71, 70, third=2)
    *_, depth = tiles(facts)
    third = facts.manifest.cell_type_names[2]
    assert (depth["value"], depth["source"]) == ("0.930", "evaluation.depth")  # the accuracy
    assert f"macro-F1 rests on fewer than 10 cells of {third} (2) and is not shown" in depth["detail"]
    many = tiles(with_test_cells(71, 70))
    assert many[-1]["value"] == "0.820"
    assert not [tile for tile in many if "rests on fewer" in tile["detail"]]
    assert facts.manifest.evaluation is not None
    assert facts.manifest.novelty is not None
    row = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 9}
    per_type = {**facts.manifest.evaluation.per_type, third: row}
    novelty = facts.manifest.novelty
    few = [one.model_copy(update={"n_unknown": 5 if one.fold == "d1" else 1}) for one in novelty.left_out[:3]]
    manifest = facts.manifest.model_copy(update={
        "evaluation": facts.manifest.evaluation.model_copy(update={"per_type": per_type}),
        "novelty": novelty.model_copy(update={"left_out": few}),
    })  # fmt: skip
    accuracy, macro_f1, _, unknown, *_ = tiles(replace(facts, manifest=manifest))
    assert f"rests on fewer than 10 cells of {third} (9)" in macro_f1["detail"]
    assert "rests" not in accuracy["detail"]
    assert f"the AUROC rests on fewer than 10 cells of {facts.manifest.cell_type_names[0]} (7)" in unknown["detail"]


def test_where_folds_could_not_learn_every_type_the_headline_is_of_test_cells() -> None:
    told, _ = partly_learned()
    accuracy, macro_f1, calibration, _, sets, _ = tiles(told)
    assert (accuracy["value"], accuracy["source"]) == ("0.987", "evaluation.test_accuracy")
    assert "on 35 test cells" in accuracy["detail"]
    assert (macro_f1["value"], macro_f1["source"]) == ("0.976", "evaluation.test_macro_f1")
    assert (calibration["value"], calibration["source"]) == ("3.3 %", "calibration.test_calibrated")
    assert "4.4 % before" in calibration["detail"]
    assert (sets["value"], "on the test part" in sets["detail"]) == ("98.0 %", True)
    meta = yaml.safe_load(render_model_card(told).split("---\n", 2)[1])
    assert meta["model-index"][0]["results"][0]["metrics"] == [
        {"type": "accuracy", "value": 1.0}, {"type": "macro_f1", "value": 1.0}]  # fmt: skip
    assert tiles(made.full_facts())[0]["source"] == "evaluation.accuracy"


def test_a_type_is_not_called_badly_found_where_folds_could_not_learn_it() -> None:
    told, names = partly_learned()
    found = {one.name: one for one in evidence_of(told)}
    third, fourth = found[names["third"]], found[names["fourth"]]
    assert (third.tested or {})["recall"] == 0.97
    assert (third.source, third.tested_on) == ("metrics.test.per_type", "test cells")
    assert (fourth.tested or {})["support"] == 20
    assert fourth.source == "evaluation.judged.per_type"
    assert not {"low recall", "low precision"} & {word for one in (third, fourth) for word, _ in one.thin}
    first = found[told.manifest.cell_type_names[0]]
    assert (first.tested, first.source) == (None, "")
    assert "not tested" in {word for word, _ in first.thin}
    text = Page(render_report(told)).text
    for source in ("metrics.test.per_type", "evaluation.judged.per_type", "evaluation.judged.confusion"):
        assert source in text, source
    assert "evaluation.confusion" not in text


def test_an_earlier_bundle_without_scores_of_judged_cells_is_told_by_its_test_part() -> None:
    told, names = partly_learned()
    assert told.manifest.evaluation is not None
    earlier = told.manifest.evaluation.model_copy(update={"judged": None})
    told = replace(told, manifest=told.manifest.model_copy(update={"evaluation": earlier}))
    found = {one.name: one for one in evidence_of(told)}
    assert {found[name].source for name in names.values()} == {"metrics.test.per_type"}


def test_what_becomes_of_unknown_types_is_said_as_it_was_measured() -> None:
    facts = made.full_facts(4)
    assert "50 % of such cells stayed unassigned in a test" in Page(render_report(facts)).text
    assert tiles(facts)[3]["value"] == "0.932"
    detail = tiles(facts)[3]["detail"]
    assert (
        "300 of 600 cells of 4 types left out of training (50 %) stayed unassigned, and 2.0 % of known cells" in detail
    )
    assert facts.manifest.novelty is not None
    quick = facts.manifest.novelty.model_copy(update={"left_out_level": "fast"})
    text = Page(render_report(replace(facts, manifest=facts.manifest.model_copy(update={"novelty": quick})))).text
    assert "A quick look at few cells" in text
    assert "stayed unassigned where it was tried" not in text
    untried = facts.manifest.novelty.model_copy(update={"left_out": []})
    facts = replace(facts, manifest=facts.manifest.model_copy(update={"novelty": untried}))
    assert tiles(facts)[3]["value"] is None
    assert "3.0 % of known cells stay unassigned" in tiles(facts)[3]["detail"]
    assert "some of these cells stay unassigned" in Page(render_report(facts)).text


def test_a_rival_that_did_better_is_told_before_use() -> None:
    facts = made.full_facts(4)
    assert not [line for line in warnings(facts, evidence_of(facts)) if "Logistic regression" in line]
    assert facts.manifest.evaluation is not None
    beaten = facts.manifest.evaluation.model_copy(update={"baseline_macro_f1": Estimate(value=0.9)})
    facts = replace(facts, manifest=facts.manifest.model_copy(update={"evaluation": beaten}))
    told = [line for line in warnings(facts, evidence_of(facts)) if "Logistic regression" in line]
    assert told == ["Logistic regression on the same genes did better on the same cells: macro-F1 0.900 against 0.876."]


def test_an_independent_file_is_told_with_its_intervals() -> None:
    facts = made.full_facts(4)
    measured = {**facts.manifest.metrics["test"], "accuracy": 0.8123, "accuracy_interval": [0.7011, 0.9022]}
    metrics = {**facts.manifest.metrics, "independent": measured}
    text = Page(render_report(replace(facts, manifest=facts.manifest.model_copy(update={"metrics": metrics})))).text
    assert "independent file network 600 0.812 0.701 to 0.902" in text


def test_coarse_calls_and_the_second_annotator_have_their_numbers() -> None:
    facts = made.full_facts(4)
    names = facts.manifest.cell_type_names
    types = [entry.model_copy(update={"ontology_id": "CL:0000084"}) for entry in facts.manifest.cell_types]
    types[3] = facts.manifest.cell_types[3]
    distilled = {**facts.manifest.metrics["test"], "accuracy": 0.8642, "part": "test"}
    distilled["agreement"] = {"same_call": 0.9421}
    manifest = facts.manifest.model_copy(update={
        "cell_types": types,
        "ontology": OntologyEntry(version="v2026", probability=0.95, accuracy=0.9876, share_called=0.8765, terms=[
            OntologyTerm(ontology_id="CL:0000542", name="lymphocyte", cell_types=names[1:3])]),
        "distilled": DistilledEntry(temperature=1.1, calibration=facts.manifest.calibration,
                                    label_sets=facts.manifest.label_sets),
        "metrics": {**facts.manifest.metrics, "distilled": distilled},
    })  # fmt: skip
    text = Page(render_report(replace(facts, manifest=manifest))).text
    for shown in ("87.6 % of the cells got one, and 98.8 % of these were right", "lymphocyte CL:0000542", "v2026",
                  f"so below none of these: {names[3]}", "Calls as the ensemble does, 600 test cells 94.2 %",
                  "test part distilled network 600 0.864", "distilled.label_sets"):  # fmt: skip
        assert shown in text, shown
    assert "Coarse calls" not in Page(render_report(facts)).text


def test_a_share_of_cells_of_unknown_types_counts_cells_and_not_types() -> None:
    facts = made.full_facts(4)
    assert facts.manifest.novelty is not None
    row = facts.manifest.novelty.left_out[0]
    left_out = [
        row.model_copy(update={"cell_type": name, "n_unknown": n, "refused": refused / n, "fold": fold})
        for name, n, refused, fold in (("few", 2, 2, "d1"), ("many", 25, 0, "d1"), ("many", 60, 1, "d2"))
    ]
    novelty = facts.manifest.novelty.model_copy(update={"left_out": left_out})
    facts = replace(facts, manifest=facts.manifest.model_copy(update={"novelty": novelty}))
    page = Page(render_report(facts)).text
    assert "3 of 87 cells of 2 types left out of training (3 %) stayed unassigned" in page
    assert "3 of 87 cells (3 %) stayed unassigned; the others" in page
    assert "mean over types" in page
    card = render_model_card(facts)
    assert "3 of 87 cells" in card
    assert "| many | 85 | 0.932 | 0.880 | 1 % | 2.0 % |" in card


def test_pictures_of_expression_say_what_size_and_colour_mean(full: str) -> None:
    assert 'aria-label="Sizes of dots: 5, 25, 50 and 100 % of the cells"' in full
    assert re.search(r'aria-label="Colours from 0 to \d+\.\d"', full)


def test_a_reviewer_finds_in_the_card_where_each_number_comes_from() -> None:
    card = render_model_card(made.full_facts(4))
    for heading in ("Model details", "Intended use", "Out-of-scope use", "Training data", "Evaluation", "Calibration",
                    "Unknown cells", "Label sets", "Shallow and partial input", "Limitations",
                    "Provenance"):  # fmt: skip
        assert re.search(rf"^##+ {heading}$", card, flags=re.MULTILINE), heading
    for line in ("5 neural networks, logits averaged", "Apache-2.0", "no profile and no id of any cell",
                 "0.923 (0.903 to 0.943)", "| folds, after (`calibration.calibrated`) | 0.0123 |",
                 "| 150 | 0.932 | 0.880 | 50 % | 2.0 % |", "| 1 % | 98.7 % | 1.31 |",
                 "| 25 % of the counts | 0.930 | 0.820 | `evaluation.depth` |"):  # fmt: skip
        assert line in card, line


def test_the_card_of_an_archived_bundle_says_what_was_not_measured() -> None:
    card = render_model_card(read_facts(Bundle.open(ARCHIVES / "v1")))
    assert re.search(r"### Calibration\s+Not measured\.", card)
    assert "Not measured: a cell of an unknown type" in card
    assert "nothing of single cells" in card
    assert "Shallow and partial" not in card


def test_names_that_look_alike_when_shortened_are_told_apart_by_their_numbers() -> None:
    names = ["effector memory CD4-positive, alpha-beta T cell", "B cell",
             "effector memory CD8-positive, alpha-beta T cell"]  # fmt: skip
    short = clip_all(names, 24)
    assert len(set(short)) == 3
    assert short[0].startswith("1 effector")
    assert short[1:] == ["B cell", "3 " + short[0][2:]]
    assert all(len(text) <= 24 for text in short)


def test_refusals_that_no_other_donor_was_asked_about_are_a_promise_for_one_laboratory() -> None:
    facts = made.full_facts(4)
    assert facts.manifest.novelty is not None
    of_cells = facts.manifest.novelty.model_copy(update={"folds": "cells"})
    alike = replace(facts, manifest=facts.manifest.model_copy(update={"novelty": of_cells}))
    said = "a promise for samples of the same laboratory and protocol only"
    assert [said in " ".join(warnings(one, evidence_of(one))) for one in (facts, alike)] == [False, True]
