// The model's marker genes: by type, or every type that a gene marks.

import { count, el, percent, save } from "./element.js";
import { refused } from "./findings.js";
import { ask } from "./service.js";

const TOP = 60;

export class Markers {
  constructor(place, { onGene }) {
    this.place = place;
    this.onGene = onGene;
  }

  /** `types`: the model's. Nothing is asked before the view is opened. */
  of(types) {
    this.types = types;
    this.all = null;
    this.built = false;
  }

  open() {
    if (this.built || !this.types) return;
    this.built = true;
    this.type = el("select", { onchange: () => this.#list() }, this.types.map((name) => el("option", { value: name, text: name })));
    this.find = el("input", { type: "search", placeholder: "such as MS4A1", spellcheck: "false", oninput: () => this.#list() });
    this.list = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Marker genes" });
    this.said = el("p", { class: "quiet", role: "status" });
    const csv = el("button", { type: "button", text: "All markers (CSV)", onclick: () => this.#download() });
    this.place.replaceChildren(el("div", { class: "fields" }, el("label", { text: "Type " }, this.type),
      el("label", { text: "Gene, in any type " }, this.find), csv), this.said, this.list);
    this.#list();
  }

  async #list() {
    const wanted = this.find.value.trim().toUpperCase();
    const question = (this.question = Symbol("question"));
    try {
      let rows;
      if (wanted) {
        this.all ??= ask("markers", {}).then((answer) => answer.json());
        rows = (await this.all).markers.filter((row) => row.gene_symbol.toUpperCase().startsWith(wanted));
        rows.sort((a, b) => (a.gene_symbol.toUpperCase() === wanted ? 0 : 1) - (b.gene_symbol.toUpperCase() === wanted ? 0 : 1) || a.rank - b.rank);
        rows = rows.slice(0, 200);
      } else {
        const answer = await ask("markers", { query: { cell_type: this.type.value, top: TOP } });
        rows = (await answer.json()).markers;
      }
      if (this.question !== question) return;
      const what = wanted ? `${count(rows.length)} places of genes that start with ${wanted}` : `The first ${rows.length} markers of ${this.type.value}`;
      this.said.textContent = `${what}. A gene colours the map of your cells.`;
      this.list.replaceChildren(this.#table(rows, wanted !== ""));
    } catch (error) {
      this.all = null;
      if (this.question === question) this.list.replaceChildren(refused(error));
    }
  }

  #table(rows, withType) {
    const columns = [
      ...(withType ? [["Type", (row) => row.cell_type]] : []),
      ["Rank", (row) => row.rank],
      ["Gene", (row) => el("button", { type: "button", class: "gene", text: row.gene_symbol, onclick: () => this.onGene(row.gene_symbol) })],
      ["Score", (row) => fixed(row.marker_score)],
      ["log2 fold change", (row) => fixed(row.log2_fold_change)],
      ["AUC", (row) => fixed(row.auc)],
      ["In the type", (row) => share(row.fraction_in)],
      ["Elsewhere", (row) => share(row.fraction_out)],
      ["Adjusted p", (row) => (row.p_value_adj === null || row.p_value_adj === undefined ? "–" : row.p_value_adj.toPrecision(2))],
    ];
    return el("table", {}, el("thead", {}, el("tr", {}, columns.map(([name]) => el("th", { scope: "col", text: name })))),
      el("tbody", {}, rows.map((row) => el("tr", {}, columns.map(([, of]) => el("td", {}, of(row)))))));
  }

  async #download() {
    try {
      const answer = await ask("markers", { accept: "text/csv" });
      save(await answer.blob(), "markers.csv");
    } catch (error) {
      this.list.replaceChildren(refused(error));
    }
  }
}

const fixed = (value) => (typeof value === "number" ? value.toFixed(2) : "–");
const share = (value) => (typeof value === "number" ? percent(value) : "–");
