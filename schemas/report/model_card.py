"""`MODEL_CARD.md` from a bundle's facts: the field's headings, and YAML front matter as model hubs read it."""

import json
import re

from .evidence import best_scores, evidence_of
from .facts import ReportFacts
from .headline import tiles, warnings
from .render import environment
from .trust_facts import trust_facts
from .view import commands, lede, score_rows
from .words import percent, score

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$!])")


def render_model_card(facts: ReportFacts) -> str:
    """The card, Markdown with tables."""
    types = evidence_of(facts)
    words, _, scores = best_scores(facts)
    results = [(name, scores[name]) for name in ("accuracy", "macro_f1") if scores.get(name) is not None]
    text = (
        environment(html=False)
        .get_template("MODEL_CARD.md")
        .render(
            facts=facts,
            manifest=facts.manifest,
            identity=facts.identity,
            types=types,
            lede=lede(facts),
            tiles=tiles(facts),
            warnings=warnings(facts, types),
            commands=_safe_commands(facts),
            results=results,
            results_on=words,
            md=markdown,
            quoted=quoted,
            scores=score_rows(facts, types)["rows"],
            trust=trust_facts(facts),
            percent=percent,
            score=score,
        )
    )
    return text.rstrip() + "\n"


def markdown(text: object) -> str:
    """Others' text in a line of Markdown: nothing of it is markup, and it stays in its line."""
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def quoted(text: object) -> str:
    """A YAML scalar: JSON's strings are such."""
    return json.dumps(str(text), ensure_ascii=False)


def _safe_commands(facts: ReportFacts) -> dict[str, str]:
    """A name with a line break or back-ticks must not end the block of code."""
    return {key: text.replace("```", "'''") for key, text in commands(facts).items()}
