"""The page of a job: all that it must show, nothing that others' text could do in it."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from cellmark.schemas.columns import UNASSIGNED
from cellmark.serving.batch.job_facts import OPEN, SampleFacts
from cellmark.serving.batch.job_report import duration, render_job, type_order
from cellmark.serving.outputs.type_colors import type_colors
from fixtures.drawn_job import HOSTILE, TYPES, drawn_job, drawn_sample


class Elements(HTMLParser):
    """All tags with their attributes, and the text outside of styles and scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside not in ("style", "script"):
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


def test_hostile_names_and_messages_are_text() -> None:
    facts = drawn_job(14, cell_types=(*TYPES[:6], HOSTILE, f"{HOSTILE} 2"))
    facts = replace(
        facts, name=HOSTILE, place=HOSTILE, model=HOSTILE, options={HOSTILE: HOSTILE}, versions={"a": HOSTILE}
    )
    page = render_job(facts)
    assert "<script>alert" not in page
    elements = Elements(page)
    tags = [tag for tag, _ in elements.tags]
    assert tags.count("script") == tags.count("style") == 1
    assert HOSTILE in elements.text
    assert "{{ 7 * 7 }}" in elements.text
    assert not any(name.startswith("on") for _, attrs in elements.tags for name in attrs)
    titles = {attrs.get("aria-label") for tag, attrs in elements.tags if tag == "svg"}
    assert any(HOSTILE in (title or "") for title in titles)


def test_it_loads_nothing_and_the_same_facts_give_the_same_bytes() -> None:
    page = render_job(drawn_job())
    assert page == render_job(drawn_job())
    elements = Elements(page)
    links = [value for _, attrs in elements.tags for name, value in attrs.items() if name in ("href", "src", "action")]
    assert all((link or "").startswith(("#", "data:,")) for link in links)
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(("n_samples", "n_types", "most"), [(40, 8, 200_000), (40, 60, 700_000), (300, 30, 2_500_000)])
def test_it_stays_small(n_samples: int, n_types: int, most: int) -> None:
    facts = drawn_job(n_samples, cell_types=tuple(f"type {number} of the atlas" for number in range(n_types)))
    assert len(render_job(facts).encode()) < most


def test_every_sample_has_a_row_and_every_link_leads_somewhere() -> None:
    page = render_job(drawn_job())
    elements = Elements(page)
    ids = [attrs["id"] for _, attrs in elements.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {f"sample-{number}" for number in range(1, 41)} <= set(ids)
    links = {attrs["href"] for tag, attrs in elements.tags if tag == "a"}
    assert {link[1:] for link in links if link} <= set(ids)


def test_types_have_the_colours_that_they_have_in_files_of_calls() -> None:
    page, colors = render_job(drawn_job()), type_colors(TYPES)
    for place, name in enumerate((*TYPES, UNASSIGNED)):
        assert f".t{place}{{fill:{colors[name]}}}" in page


def test_types_without_a_cell_are_left_out_and_the_others_keep_their_order_and_colour() -> None:
    one = replace(drawn_sample(1, n_cells=30), types={"NK": 20, "CD8 T": 10})
    facts = replace(drawn_job(), samples=(one,))
    assert type_order(facts) == {"CD8 T": 0, "NK": 1}
    assert f".t1{{fill:{type_colors(TYPES)['NK']}}}" in render_job(facts)


def test_cells_of_a_bar_add_up_to_its_width() -> None:
    facts = replace(drawn_job(), samples=(drawn_sample(1),))
    (bar,) = re.findall(r'<td class="comp">(.*?)</svg>', render_job(facts), flags=re.DOTALL)
    widths = [float(width) + 0.4 for width in re.findall(r'<rect [^>]*?width="([\d.]+)"', bar)]
    assert sum(widths) == pytest.approx(300, abs=0.1 * len(widths))


@pytest.mark.parametrize(
    "samples",
    [
        (),
        (SampleFacts(name="one", path="/one", status=OPEN),),
        (SampleFacts(name="none", path="/none", status="refused"),),
        (SampleFacts(name="empty", path="/empty", status="ok", n_cells=0),),
        (drawn_sample(1, n_cells=3),),
        (drawn_sample(1),),
    ],
)
def test_a_job_of_nothing_or_little_has_a_page_too(samples: tuple[SampleFacts, ...]) -> None:
    facts = replace(drawn_job(), samples=samples, manifest_digest=None, versions={}, options={})
    page = render_job(facts)
    assert page.count("<tr id=") == len(samples)
    text = Elements(page).text
    assert "Look first" in text
    if all(one.cells < 10 for one in samples):
        assert "Low confidence" not in text


def test_what_was_not_compared_is_not_called_alike() -> None:
    samples = tuple(replace(drawn_sample(number), drift=None) for number in range(5))
    text = Elements(render_job(replace(drawn_job(), samples=samples))).text
    assert "Nothing stands out in 5 samples" in text
    assert "not compared with held-out cells" in text
    assert "drift," not in text


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0.04, 9.96, 59.6, 61, 3_599.7, 7_500)] == [
        "0.0 s", "10.0 s", "60 s", "1 min 1 s", "1 h 0 min", "2 h 5 min",
    ]  # fmt: skip
