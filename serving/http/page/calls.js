// The calls of a file as columns, and what is looked at: a type, a cell, a filter. Views listen to `changed`.

export const UNASSIGNED = "unassigned";
const SHUFFLE = 2654435761;

export class Calls extends EventTarget {
  constructor(answer, modelTypes) {
    super();
    this.answer = answer;
    this.n = answer.cells.length;
    this.types = [...modelTypes, UNASSIGNED];
    this.nTypes = modelTypes.length;
    const number = new Map(this.types.map((name, i) => [name, i]));
    const column = (name) => Float32Array.from(answer.cells, (cell) => cell[name] ?? NaN);
    const types = (name) => Int32Array.from(answer.cells, (cell) => number.get(cell[name]) ?? this.nTypes);
    this.ids = answer.cells.map((cell) => cell.cell_id);
    this.call = types("cellmark_cell_type");
    this.best = types("cellmark_best_cell_type");
    this.second = types("cellmark_second_cell_type");
    this.confidence = column("cellmark_confidence");
    this.margin = column("cellmark_margin");
    this.novelty = column("cellmark_novelty");
    this.setSize = Float32Array.from(answer.cells, (cell) => cell.cellmark_label_set?.length ?? NaN);
    this.levels = Object.keys(answer.cells[0] ?? {}).filter((name) => /^cellmark_level_\d+$/.test(name));
    this.hasCoarse = answer.cells.some((cell) => cell.cellmark_coarse_cell_type !== null);
    this.groups = answer.own_groups;
    this.group = Float32Array.from(this.groups[0]?.codes ?? [], (code) => (code < 0 ? NaN : code));
    this.numbers = new Int32Array(this.types.length);
    for (const type of this.call) this.numbers[type]++;
    this.type = null;
    this.cell = null;
    this.text = "";
    this.show = "all";
    this.sortBy = null;
    this.descending = false;
    this.rows = Int32Array.from({ length: this.n }, (_, i) => i);
  }

  /** The novelty above which a cell of this best type stays unassigned; null where the model has none. */
  threshold(cell) {
    const ofSample = this.answer.sample_shift?.thresholds?.[this.types[this.best[cell]]];
    return ofSample ?? this.answer.novelty_threshold;
  }

  /** The name that a column of the file has for a cell, such as its cluster; empty where it has none. */
  groupOf({ groups, codes }, cell) {
    return groups[codes[cell]] ?? "";
  }

  labelSet(cell) {
    return this.answer.cells[cell].cellmark_label_set;
  }

  /** Change what is looked at, such as `{ type: 3 }`. */
  look(change) {
    Object.assign(this, change);
    if (["type", "text", "show", "sortBy", "descending"].some((name) => name in change)) this.#choose();
    this.dispatchEvent(new CustomEvent("changed", { detail: Object.keys(change) }));
  }

  isShown(cell) {
    return this.type === null || this.call[cell] === this.type;
  }

  #choose() {
    const wanted = this.text.trim().toLowerCase();
    const found = new Set();
    this.types.forEach((name, i) => wanted && name.toLowerCase().includes(wanted) && found.add(i));
    const rows = [];
    for (let i = 0; i < this.n; i++) {
      if (!this.isShown(i)) continue;
      if (this.show === "unassigned" && this.call[i] !== this.nTypes) continue;
      if (this.show === "doubtful" && !(this.confidence[i] < 0.7)) continue;
      if (this.show === "several" && !(this.setSize[i] > 1)) continue;
      if (wanted && !found.has(this.call[i]) && !this.ids[i].toLowerCase().includes(wanted)) continue;
      rows.push(i);
    }
    if (this.sortBy) rows.sort(this.#order());
    this.rows = Int32Array.from(rows);
  }

  #order() {
    const sign = this.descending ? -1 : 1;
    const values = this[this.sortBy];
    const byName = ["call", "best", "second"].includes(this.sortBy);
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    if (this.sortBy === "ids") return (a, b) => sign * compare(values[a], values[b]) || a - b;
    if (byName) return (a, b) => sign * compare(this.types[values[a]], this.types[values[b]]) || a - b;
    // What is not known comes last, whichever way the rest is sorted.
    return (a, b) => {
      const [x, y] = [values[a], values[b]];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a - b;
      return sign * (x - y) || a - b;
    };
  }

  /** At most `most` cells of a type, the same ones each time. */
  someOf(type, most) {
    const cells = [];
    for (let i = 0; i < this.n; i++) if (this.call[i] === type) cells.push(i);
    const key = (i) => Math.imul(i + 1, SHUFFLE) >>> 0;
    return cells.sort((a, b) => key(a) - key(b)).slice(0, most);
  }

  /** The type that most often comes second among cells of a type. */
  usualSecond(type) {
    const times = new Int32Array(this.types.length);
    for (let i = 0; i < this.n; i++) if (this.call[i] === type) times[this.second[i]]++;
    return times.indexOf(Math.max(...times));
  }

  /** A JSON body with some of the cells, and the query that goes with it; null where the answer holds no rows. */
  bodyOf(cells) {
    const rows = this.answer.rows;
    if (!rows) return null;
    const body = { genes: rows.genes, cell_ids: [], indptr: [0], indices: [], data: [] };
    for (const cell of cells) {
      const [start, end] = [rows.indptr[cell], rows.indptr[cell + 1]];
      body.cell_ids.push(this.ids[cell]);
      body.indices.push(...rows.indices.slice(start, end));
      body.data.push(...rows.data.slice(start, end));
      body.indptr.push(body.indices.length);
    }
    if (!rows.library_sizes) return { body, query: { input: "log1p", max_unknown_share: "1" } };
    body.library_sizes = cells.map((cell) => rows.library_sizes[cell]);
    return { body, query: {} };
  }

  /** ln(1 + counts per 10,000) of a gene in every cell; null for a gene that the answer does not hold. */
  expression(gene) {
    const rows = this.answer.rows;
    const column = rows ? rows.genes.indexOf(gene) : -1;
    if (column < 0) return null;
    const values = new Float32Array(this.n);
    for (let cell = 0; cell < this.n; cell++) {
      for (let at = rows.indptr[cell]; at < rows.indptr[cell + 1]; at++) {
        if (rows.indices[at] !== column) continue;
        const value = rows.data[at];
        values[cell] = rows.library_sizes ? Math.log1p((value * 1e4) / rows.library_sizes[cell]) : value;
      }
    }
    return values;
  }

  genes() {
    return this.answer.rows?.genes.filter((gene) => gene !== "all other genes") ?? [];
  }
}
