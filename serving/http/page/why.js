// Why a cell, or the cells of a type, were called so: genes for and against, and the runner-up.

import { colourOfType } from "./colours.js";
import { cells as nCells, count, el, percent } from "./element.js";
import { refused } from "./findings.js";
import { ask } from "./service.js";

const OF_CELL = 24;
const OF_TYPE = 12;
/** Cells of a type that are asked about, drawn evenly from all of it. */
const CELLS_OF_TYPE = 60;

export class Why {
  constructor(place, { onGene }) {
    this.place = place;
    this.onGene = onGene;
  }

  show(calls) {
    this.calls = calls;
    this.against = "second";
    this.asked = null;
    this.#hint();
    calls.addEventListener("changed", ({ detail }) => {
      if (detail.some((name) => name === "cell" || name === "type")) this.#look();
    });
  }

  #hint() {
    this.place.replaceChildren(el("p", { class: "quiet", text: "Choose a cell in the map or the table, or a type in the composition: here are the genes for and against its call." }));
  }

  async #look() {
    this.asked?.abort();
    const { calls } = this;
    if (calls.cell === null && calls.type === null) return this.#hint();
    this.asked = new AbortController();
    const { signal } = this.asked;
    const parts = calls.cell !== null ? this.#ofCell(calls.cell) : this.#ofType(calls.type);
    const genes = el("div", { class: "genes" }, el("p", { class: "quiet", text: "Looking at the genes…" }));
    this.place.replaceChildren(...parts.head, genes);
    this.#come();
    if (!parts.genes) return genes.replaceChildren(el("p", { class: "quiet", text: parts.without }));
    try {
      const shown = await parts.genes(signal);
      if (!signal.aborted) genes.replaceChildren(...shown);
    } catch (error) {
      if (!signal.aborted) genes.replaceChildren(refused(error));
    }
    return undefined;
  }

  /** Into sight, where the answer is not beside the question. */
  #come() {
    const head = this.place.previousElementSibling;
    const { top } = head.getBoundingClientRect();
    if (top >= 0 && top < innerHeight * 0.8) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    head.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
  }

  #ofCell(cell) {
    const { calls } = this;
    const [call, best, second] = [calls.call[cell], calls.best[cell], calls.second[cell]];
    const name = (type) => calls.types[type];
    const limit = calls.threshold(cell);
    const head = [
      el("p", { class: "who" }, el("code", { text: calls.ids[cell] })),
      el("p", { class: "call" }, el("span", { class: "swatch", style: { background: colourOfType(call, calls.nTypes) } }), el("strong", { text: name(call) })),
      el("dl", {},
        ...pair(call === calls.nTypes ? "Nearest type" : "Confidence", `${call === calls.nTypes ? `${name(best)}, ` : ""}${percent(calls.confidence[cell])}`),
        ...pair("Runner-up", `${name(second)}, ${percent(calls.confidence[cell] - calls.margin[cell])}`),
        ...(Number.isNaN(calls.novelty[cell]) || limit === null ? [] : pair("Novelty",
          `${calls.novelty[cell].toFixed(2)}, ${calls.novelty[cell] > limit ? "above" : "within"} the limit of ${limit.toFixed(2)}`)),
        ...(calls.labelSet(cell)?.length ? pair("One of these", `${calls.labelSet(cell).join(", ")} (wrong for ${percent(calls.answer.label_set_error)} of cells)`) : []),
        ...(calls.answer.cells[cell].cellmark_coarse_cell_type ? pair("Coarser", calls.answer.cells[cell].cellmark_coarse_cell_type) : [])),
    ];
    if (call === calls.nTypes) head.push(el("p", { text: "It is unlike the cells that the model knows, so it has no name. The genes below are those of the nearest type." }));
    const asked = calls.bodyOf([cell]);
    if (!asked) return { head, without: tooMany() };
    const switched = el("fieldset", { class: "plain" }, el("legend", { class: "unseen", text: "Compared with" }),
      [["second", `rather than ${name(second)}`], ["", "at all"]].map(([value, text]) => el("label", { class: "tick" },
        el("input", { type: "radio", name: "against", value, checked: this.against === value, onchange: () => {
          this.against = value;
          this.#look();
        } }), text)));
    head.push(el("h4", { text: `Why ${name(best)}` }), switched);
    const genes = async (signal) => {
      const query = { top: OF_CELL, ...asked.query, ...(this.against && { against: this.against }) };
      const answer = await ask("attribute", { json: asked.body, query, signal });
      const [explained] = (await answer.json()).cells;
      const rows = explained.genes.map((gene) => ({
        gene: gene.gene_symbol, value: gene.attribution, note: noteOf(gene),
      }));
      return this.#bars(rows, explained.target, explained.against);
    };
    return { head, genes };
  }

  #ofType(type) {
    const { calls } = this;
    const head = [el("p", { class: "call" }, el("span", { class: "swatch", style: { background: colourOfType(type, calls.nTypes) } }),
      el("strong", { text: calls.types[type] })), el("p", { text: `${nCells(calls.numbers[type])}, ${percent(calls.numbers[type] / calls.n)} of the file.` })];
    if (type === calls.nTypes) {
      const nearest = new Map();
      for (let i = 0; i < calls.n; i++) if (calls.call[i] === type) nearest.set(calls.best[i], (nearest.get(calls.best[i]) ?? 0) + 1);
      const listed = [...nearest].sort((a, b) => b[1] - a[1]).slice(0, 6).map(([best, n]) => el("li", { text: `${calls.types[best]}: ${count(n)}` }));
      head.push(el("p", { text: "Unlike every type that the model knows. The nearest types:" }), el("ul", {}, listed));
      return { head, without: "Choose one of them in the table or on the map to see its genes. Many together may be a new population: cellmark markers novel." };
    }
    const runner = calls.usualSecond(type);
    const some = calls.someOf(type, CELLS_OF_TYPE);
    const asked = calls.bodyOf(some);
    if (!asked) return { head, without: tooMany() };
    head.push(el("h4", { text: `Why ${calls.types[type]} rather than ${calls.types[runner]}` }),
      el("p", { class: "quiet", text: `${calls.types[runner]} is most often its runner-up. Means over ${some.length === calls.numbers[type] ? "all of them" : `${some.length} of them`}.` }));
    const genes = async (signal) => {
      const query = { layout: "csr", target: calls.types[type], against: calls.types[runner], ...asked.query };
      const answer = await ask("attribute", { json: asked.body, query, signal });
      const { genes: names, indices, attributions } = await answer.json();
      const sums = new Float64Array(names.length);
      indices.forEach((gene, i) => (sums[gene] += attributions[i] / some.length));
      const order = [...sums.keys()].filter((gene) => sums[gene] !== 0).sort((a, b) => sums[b] - sums[a]);
      const chosen = [...new Set([...order.slice(0, OF_TYPE), ...order.slice(-OF_TYPE)])];
      const rows = chosen.map((gene) => ({ gene: names[gene], value: sums[gene], note: "" }));
      return this.#bars(rows, calls.types[type], calls.types[runner]);
    };
    return { head, genes };
  }

  #bars(rows, target, against) {
    const most = Math.max(...rows.map((row) => Math.abs(row.value)), 1e-9);
    const list = (wanted) => rows.filter((row) => (row.value > 0) === wanted).sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
    const part = (wanted, title) => [el("h5", { text: title }), list(wanted).length ? el("ul", { class: `evidence ${wanted ? "for" : "against"}` }, list(wanted).map((row) =>
      el("li", {}, el("button", { type: "button", class: "gene", text: row.gene, title: "Colour the map by this gene", onclick: () => this.onGene(row.gene) }),
        el("span", { class: "track" }, el("span", { style: { width: `${(100 * Math.abs(row.value)) / most}%` } })),
        el("span", { class: "value", text: row.value.toFixed(2) }),
        row.note && el("span", { class: "note quiet", text: row.note })))) : el("p", { class: "quiet", text: "None among the strongest." })];
    return [...part(true, `For ${target}`), ...part(false, against ? `Against it, for ${against}` : "Against it"),
      el("p", { class: "quiet", text: "Numbers are what each gene adds to the model's score (logit). A gene that is absent counts too." })];
  }
}

const pair = (name, value) => [el("dt", { text: name }), el("dd", { text: value })];
const tooMany = () => "This file has too many values for single cells to be explained here. The command line does it: cellmark explain FILE.";

function noteOf(gene) {
  if (gene.direction.startsWith("absent")) return "absent";
  const amount = gene.counts === null ? `${gene.log1p_norm.toFixed(1)} normalised` : `${count(gene.counts)} ${gene.counts === 1 ? "count" : "counts"}`;
  return `${amount}, ${gene.direction.startsWith("high") ? "more" : "less"} than usual`;
}
