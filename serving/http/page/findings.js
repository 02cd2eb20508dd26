// What was found in a file, as a checklist, and refusals in plain words with what can be done about them here.

import { cells, count, el, percent } from "./element.js";
import { Refusal } from "./service.js";

/** What codes mean to somebody at a bench. What a code lacks here is said in the service's own words. */
const PLAIN = {
  FILE_FORMAT_UNKNOWN: "This kind of file cannot be read here.",
  FILE_UNREADABLE: "The file is damaged, or is not what its name says.",
  INPUT_TOO_LARGE: "The file is larger than this service takes.",
  REQUEST_TOO_LARGE: "The file is larger than this service takes.",
  NOT_ANNDATA: "This HDF5 file is neither an AnnData nor 10x's.",
  LAYER_UNKNOWN: "The file has no layer of that name.",
  COUNTS_NEGATIVE: "Some values are below zero, so these are not counts: the matrix was scaled or corrected.",
  COUNTS_NOT_WHOLE: "Values are not whole numbers, so these are not raw counts.",
  COUNTS_NOT_RAW: "The numbers are whole, and yet are not raw counts.",
  COUNTS_NAN: "Some values are missing.",
  COUNTS_INFINITE: "Some values are infinite.",
  COUNTS_UNKNOWN_NAMES: "Many counts belong to names that are no genes.",
  COUNTS_NORMALISED: "The values are normalised and logarithmic, which the model can read.",
  COUNTS_NOT_RECOVERABLE: "The raw counts cannot be computed back from these values.",
  LIBRARY_SIZE_NEEDED: "The file has only some of the genes, so each cell's total count over all genes has to come from a column.",
  LIBRARY_SIZE_INVALID: "The library sizes do not fit: some are below the counts that they should contain.",
  LIBRARY_SIZE_COLUMN_UNKNOWN: "The file has no column of that name.",
  LIBRARY_SIZE_UNUSUAL: "Cells are much deeper or shallower than those that the model learned from.",
  LIBRARY_SIZE_DOUBTFUL: "The library sizes look wrong, as if they were summed over some of the genes only.",
  NO_GENES_SHARED: "The file and the model have no gene in common.",
  TOO_FEW_GENES: "Too few of the model's genes are in the file.",
  GENES_INSUFFICIENT: "The genes in the file carry too little of what calls rest on.",
  GENES_THIN_FOR_TYPES: "For some types the file has few of the genes that matter.",
  GENES_SUBSET: "The file has only variable genes.",
  ORGANISM_MISMATCH: "The genes are of another organism than the model's.",
  CROSS_SPECIES: "The cells are of another organism than the model's: their genes were named by orthologs, and calls are less sure.",
  MATRIX_TRANSPOSED: "The table lies on its side: genes are where cells should be.",
  CELL_ID_DUPLICATE: "Some cells have the same id.",
  CELL_EMPTY: "Some cells have no counts at all.",
  GENES_MAPPED: "Some genes have other names in the file than in the model, and were matched.",
  GENES_AMBIGUOUS: "Some gene names mean several genes, and were ignored.",
  GENES_DUPLICATED: "Some genes stand in the file more than once; their counts were added up.",
  GENES_EMPTY: "More than half of the genes have no count in any cell.",
  GENE_COLUMN_TAKEN: "The names of genes were found in a column of the file.",
  FEATURES_DROPPED: "The file also measures what is no gene, such as proteins; that was left out.",
  FEATURES_KEPT: "The file also measures what is no gene; it was counted, as in the model's training.",
  FEATURES_NOT_GENES: "Nothing in the file is gene expression.",
  CELL_ONE: "The file holds a single cell.",
  CELLS_MITOCHONDRIAL: "In many cells most counts come from mitochondria: they may be dying.",
  CELLS_LIKE_DOUBLETS: "Some cells have far more counts than the others: they may be doublets.",
  COUNTS_ONE_DEPTH: "The counts were corrected to one depth, so they are not as they were measured.",
  COUNTS_RECOVERED: "Counts were computed back from the file's values, as asked.",
  COUNTS_TOO_LARGE: "Some counts are too large to be counts of molecules.",
  MATRIX_INVALID: "Matrix, cell ids and gene names of the file do not fit together.",
  NO_CELLS: "The file has no cells.",
  NO_GENES: "The file has no genes.",
  ENTRIES_DUPLICATED: "Some values are stored in several parts.",
  QUALITY_UNEXPECTED: "A measure of quality is unlike the training data's.",
  SAMPLE_SHIFTED: "The whole sample differs a little from training, as another laboratory's does; the limit for “unassigned” was raised for it.",
  TYPES_FOREIGN_TO_SAMPLE: "Most cells called these types are unlike them: they are likely something else, so the others keep the type only where they are typical of it.",
  SAMPLE_BEYOND_TRAINING: "The whole sample differs more from training than any that the model was tested on: read its calls with care.",
  KEY_MISSING: "This service needs a key.",
  KEY_INVALID: "This key is not one of this service's.",
  KEY_EXPIRED: "This key has expired.",
  KEY_REVOKED: "This key was withdrawn.",
  SCOPE_MISSING: "Your key does not allow this.",
  TOKEN_INVALID: "This token is not one for this service.",
  TOKEN_EXPIRED: "This token has expired.",
  RATE_EXCEEDED: "Too many requests with your key for now.",
  SERVICE_BUSY: "The service is busy.",
  DEADLINE_EXCEEDED: "It took longer than the service allows.",
  SERVICE_NOT_READY: "The service is still starting.",
  MODEL_UNKNOWN: "The service has no such model or version.",
};
const MARKS = { ok: "✓", info: "i", warning: "!", error: "✗" };
const SAID = { ok: "Fine", info: "Note", warning: "Warning", error: "Refused" };

/** The checklist of an answer. `again`: called with options to ask once more with. */
export function checklist(answer, again) {
  const proposed = new Set();
  const items = [
    item("ok", `The file was read: ${cells(answer.n_cells)}.`),
    values(answer),
    sizes(answer),
    genes(answer),
    ...ordered(answer.notes).map((finding) => ofFinding(finding, answer.library_size_columns ?? [], again, proposed)),
  ];
  return el("ul", { class: "checks" }, items.filter(Boolean));
}

/** The checklist of a refused file. `columns`: of library sizes, where the file has any. */
export function refusedList(refusal, columns, again) {
  const proposed = new Set();
  return el("ul", { class: "checks" }, ordered(refusal.findings).map((finding) => ofFinding(finding, columns, again, proposed)));
}

/** The gravest first; what library sizes are doubted for before what follows from it. */
function ordered(findings) {
  const weight = ({ severity, code }) => ({ error: 0, warning: 2, info: 4 })[severity] + (code === "LIBRARY_SIZE_DOUBTFUL" ? 0 : 1);
  return [...findings].sort((a, b) => weight(a) - weight(b));
}

/** Any failure of a request as one element. */
export function refused(error) {
  if (!(error instanceof Refusal)) {
    return el("p", { class: "refused", text: `The service did not answer (${error.message}). Is it running, and are you connected?` });
  }
  if (error.code === "SCOPE_MISSING") {
    return el("p", { class: "refused", text: "Your key may not ask for explanations. Ask the service's operator for a key with the scope “explain”." });
  }
  return refusedList(error, [], null);
}

const item = (severity, text, ...more) => el("li", { class: severity },
  el("span", { class: "mark", "aria-hidden": "true", text: MARKS[severity] }),
  el("div", {}, el("p", {}, el("span", { class: "unseen", text: `${SAID[severity]}: ` }), text), more));

function values(answer) {
  if (answer.notes.some((note) => note.code === "COUNTS_NORMALISED")) return null;
  return item("ok", answer.counts_from === "X" ? "Values are raw counts." : `Values are raw counts, from ${answer.counts_from}.`);
}

function sizes(answer) {
  const doubted = answer.notes.some((note) => note.code.startsWith("LIBRARY_SIZE_"));
  if (doubted) return null;
  const said = { given: "Library sizes were given.", summed: "Library sizes are each cell's sum over the file's genes." };
  return item("ok", said[answer.library_size_source] ?? "Library sizes are not known, and not needed for normalised values.");
}

function genes(answer) {
  const all = answer.genes_matched + answer.genes_missing;
  const share = answer.attribution_share;
  const carried = share === null ? "" : `, which carry ${percent(share)} of the evidence that calls rest on`;
  const text = `${count(answer.genes_matched)} of the ${count(all)} genes that the model reads are in the file${carried}.`;
  if (!answer.genes_missing) return item("ok", text);
  const more = answer.genes_missing > answer.missing_genes.length ? ", …" : "";
  return item(share !== null && share < 0.9 ? "info" : "ok", text, el("details", {}, el("summary", { text: "Missing genes" }),
    el("p", { class: "quiet", text: answer.missing_genes.join(", ") + more })));
}

/** `proposed`: names of actions that stand in the list already. */
function ofFinding(finding, columns, again, proposed) {
  const { severity, code } = finding;
  const plain = PLAIN[code];
  const facts = `Expected ${finding.expected}; found ${finding.found}.`;
  const examples = finding.examples?.length ? ` For example: ${finding.examples.join(", ")}.` : "";
  const found = again ? actionsOf(finding, columns, again) : [];
  const actions = found.filter(([name]) => !proposed.has(name) && proposed.add(name)).map(([, button]) => button);
  // What a button does need not be said in the words of a terminal.
  const remedy = found.length ? finding.remedy.replace(/: --orthologs \([^)]*\)|: --[a-z-]+ [^ ]+ \([^)]*\)/g, "").replace(/: --library-size '[^']*'( or --library-size '[^']*')*/g, "").replace(/: (omit )?--layer \([^)]*\)/g, "").replace(/--recover-counts \([^)]*\)/g, "“Recover the counts”") : finding.remedy;
  const parts = [el("p", { class: "quiet", text: facts + examples }), el("p", {}, el("strong", { text: "What to do: " }), remedy)];
  if (actions.length) parts.push(el("p", { class: "buttons" }, actions));
  parts.push(el("p", { class: "quiet code", text: code }));
  const open = severity === "error" || actions.length > 0;
  return item(severity, plain ?? `${finding.where}: ${finding.found}.`, el("details", { open }, el("summary", { text: "Why, and what to do" }), parts));
}

/** What asks again in the way that a finding proposes: pairs of a name and a button. */
function actionsOf(finding, columns, again) {
  const kind = finding.severity === "error" ? "main" : null;
  const button = (text, options) => [text, el("button", { type: "button", class: kind, text, onclick: () => again(options) })];
  const actions = [];
  if (finding.code.startsWith("LIBRARY_SIZE_")) {
    const listed = columns.length ? columns : [...finding.found.matchAll(/obs has (.*)$/g)].flatMap(([, names]) => names.split(", "));
    if (listed.length && listed[0] !== "no columns") actions.push(["library sizes", choice(listed, again)]);
  }
  const layer = finding.remedy.match(/layer='([^']+)'|--layer ([\w./-]+)/);
  const named = layer && (layer[1] ?? layer[2]);
  // LAYER and the like stand for a name, unless it is quoted.
  if (named && (layer[1] || named !== named.toUpperCase())) actions.push(button(`Read the counts in “${named}”`, { layer: named }));
  if (/omit --layer/.test(finding.remedy)) actions.push(button("Read the counts in X", { layer: "" }));
  if (/--orthologs/.test(finding.remedy)) actions.push(button("Use orthologs", { orthologs: true }));
  if (/--recover-counts/.test(finding.remedy)) actions.push(button("Recover the counts", { recover_counts: true }));
  return actions;
}

function choice(columns, again) {
  const select = el("select", {}, columns.map((name) => el("option", { value: name, text: name })));
  return el("span", { class: "choice" }, el("label", { text: "Library sizes are in " }, select),
    el("button", { type: "button", class: "main", text: "Ask again with it", onclick: () => again({ library_size: select.value }) }));
}
