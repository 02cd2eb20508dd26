// The table of cells: only the rows in sight are elements, so that many cells stay quick.

import { colourOfType } from "./colours.js";
import { count, el } from "./element.js";

const ROW = 34;
const SPARE = 6;

const number = (value) => (Number.isNaN(value) ? "–" : value.toFixed(3));

export class CellTable {
  constructor(place) {
    this.place = place;
  }

  show(calls) {
    this.calls = calls;
    this.current = 0;
    this.columns = columnsOf(calls);
    const shares = this.columns.map((column) => column.width).join(" ");
    this.counted = el("p", { class: "quiet", role: "status" });
    this.body = el("div", { class: "rows", role: "rowgroup" });
    this.heads = this.columns.map((column) => this.#head(column));
    this.scroller = el(
      "div",
      {
        class: "grid", role: "grid", tabindex: "0", "aria-label": "Cells and their calls. Arrow keys move, Enter shows why.",
        "aria-colcount": this.columns.length, style: { "--columns": shares, "--least": `${43.5 + widthOf(calls) + (calls.groups.length ? 7 : 0)}rem` },
        onscroll: () => this.#draw(), onkeydown: (event) => this.#key(event),
      },
      el("div", { class: "row heads", role: "row", "aria-rowindex": "1" }, this.heads),
      this.body,
    );
    this.place.replaceChildren(this.#filters(), this.counted, this.scroller);
    calls.addEventListener("changed", ({ detail }) => this.#changed(detail));
    new ResizeObserver(() => this.#draw()).observe(this.scroller);
    this.#changed(["text"]);
  }

  #filters() {
    const { calls } = this;
    this.types = el(
      "select",
      { onchange: (event) => calls.look({ type: event.target.value === "" ? null : Number(event.target.value) }) },
      el("option", { value: "", text: "all types" }),
      calls.types.map((name, i) => calls.numbers[i] > 0 && el("option", { value: i, text: name })).filter(Boolean),
    );
    const kinds = { all: "all", unassigned: "unassigned", doubtful: "confidence below 0.7", several: "several possible types" };
    if (!calls.setSize.some((size) => size > 1)) delete kinds.several;
    const kind = el(
      "select",
      { onchange: (event) => calls.look({ show: event.target.value }) },
      Object.entries(kinds).map(([value, text]) => el("option", { value, text })),
    );
    const find = el("input", {
      type: "search", placeholder: "cell id or type", spellcheck: "false", oninput: (event) => calls.look({ text: event.target.value }),
    });
    return el("div", { class: "fields" }, el("label", { text: "Find " }, find), el("label", { text: "Type " }, this.types),
      el("label", { text: "Show " }, kind));
  }

  #head(column) {
    const sort = () => {
      const { calls } = this;
      const same = calls.sortBy === column.key;
      calls.look({ sortBy: column.key, descending: same ? !calls.descending : column.down ?? false });
    };
    const sortable = column.key !== null;
    return el("div", { role: "columnheader", class: column.class, "aria-sort": sortable ? "none" : null },
      sortable ? el("button", { type: "button", text: column.name, onclick: sort }) : column.name);
  }

  #changed(names) {
    const { calls } = this;
    if (names.some((name) => name !== "cell")) {
      this.current = Math.max(calls.rows.indexOf(calls.cell ?? -1), 0);
      if (!names.includes("cell")) this.scroller.scrollTop = 0;
      const shown = calls.rows.length;
      this.counted.textContent = shown === calls.n ? `${count(calls.n)} cells` : `${count(shown)} of ${count(calls.n)} cells`;
      this.types.value = calls.type ?? "";
      this.heads.forEach((head, i) => {
        const { key } = this.columns[i];
        const order = key === null ? null : calls.sortBy === key ? (calls.descending ? "descending" : "ascending") : "none";
        if (order) head.setAttribute("aria-sort", order);
      });
    } else if (calls.cell !== null && calls.rows[this.current] !== calls.cell) {
      const at = calls.rows.indexOf(calls.cell);
      if (at >= 0) this.#go(at);
    }
    this.#draw();
  }

  #draw() {
    const { calls, scroller } = this;
    const first = Math.max(Math.floor(scroller.scrollTop / ROW) - SPARE, 0);
    const last = Math.min(Math.ceil((scroller.scrollTop + scroller.clientHeight) / ROW) + SPARE, calls.rows.length);
    this.body.style.height = `${calls.rows.length * ROW}px`;
    const rows = [];
    for (let at = first; at < last; at++) rows.push(this.#row(at));
    this.body.replaceChildren(...rows);
    scroller.setAttribute("aria-rowcount", calls.rows.length + 1);
    if (calls.rows.length) scroller.setAttribute("aria-activedescendant", `row-${this.current}`);
    else scroller.removeAttribute("aria-activedescendant");
  }

  #row(at) {
    const { calls } = this;
    const cell = calls.rows[at];
    const chosen = cell === calls.cell;
    return el(
      "div",
      {
        class: `row${at === this.current ? " current" : ""}${chosen ? " chosen" : ""}`, role: "row", id: `row-${at}`,
        "aria-rowindex": at + 2, "aria-selected": chosen, style: { top: `${at * ROW}px` },
        onclick: () => {
          this.current = at;
          calls.look({ cell });
        },
      },
      this.columns.map((column) => el("div", { role: "gridcell", class: column.class }, column.of(cell))),
    );
  }

  #key(event) {
    if (event.target !== this.scroller) return;
    const page = Math.max(Math.floor(this.scroller.clientHeight / ROW) - 2, 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) this.#go(this.current + steps[event.key]);
    else if (event.key === "Enter" || event.key === " ") {
      if (this.calls.rows.length) this.calls.look({ cell: this.calls.rows[this.current] });
    } else return;
    event.preventDefault();
    this.#draw();
  }

  #go(at) {
    this.current = Math.min(Math.max(at, 0), Math.max(this.calls.rows.length - 1, 0));
    const [top, height] = [this.current * ROW, this.scroller.clientHeight - 2 * ROW];
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top > this.scroller.scrollTop + height) this.scroller.scrollTop = top - height;
  }
}

/** Of the column of ids, in rem: the end of an id is what tells cells apart. */
function widthOf(calls) {
  const longest = calls.ids.slice(0, 2000).reduce((most, id) => Math.max(most, id.length), 0);
  return Math.min(Math.max(0.68 * longest + 1.4, 8), 26);
}

function columnsOf(calls) {
  const typed = (type) => [
    el("span", { class: "swatch", style: { background: colourOfType(type, calls.nTypes) } }), calls.types[type],
  ];
  const plain = (name, key, of, width, more = {}) => ({ name, key, of, width, class: "", ...more });
  const columns = [
    plain("Cell", "ids", (cell) => calls.ids[cell], `minmax(${widthOf(calls)}rem, 1.4fr)`),
    plain("Call", "call", (cell) => typed(calls.call[cell]), "minmax(9rem, 1.6fr)"),
    ...calls.groups.slice(0, 1).map((own) => plain(own.name, "group", (cell) => calls.groupOf(own, cell) || "–", "minmax(7rem, 1fr)")),
    plain("Confidence", "confidence", (cell) => number(calls.confidence[cell]), "7.4rem", { class: "number" }),
    plain("Runner-up", "second", (cell) => calls.types[calls.second[cell]], "minmax(8rem, 1.4fr)"),
    plain("Margin", "margin", (cell) => number(calls.margin[cell]), "5.5rem", { class: "number" }),
  ];
  if (calls.novelty.some((value) => !Number.isNaN(value))) {
    columns.push(plain("Novelty", "novelty", (cell) => number(calls.novelty[cell]), "5.5rem", { class: "number", down: true }));
  }
  columns.push(plain("Best type", "best", (cell) => calls.types[calls.best[cell]], "minmax(8rem, 1.4fr)"));
  const of = (name) => (cell) => calls.answer.cells[cell][name] ?? "–";
  if (calls.hasCoarse) columns.push(plain("Coarse type", null, of("cellmark_coarse_cell_type"), "minmax(8rem, 1fr)"));
  for (const level of calls.levels) columns.push(plain(level.replace("cellmark_level_", "Level "), null, of(level), "minmax(8rem, 1fr)"));
  return columns;
}
