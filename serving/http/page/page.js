// The page: a file goes to the service, and what comes back is shown. Which view shows what is decided here.

import { Calls } from "./calls.js";
import { CellMap } from "./cell_map.js";
import { sentence, showComposition } from "./composition.js";
import { byId, bytes, el, save } from "./element.js";
import { aboutModel, showFacts } from "./facts.js";
import { checklist, refused, refusedList } from "./findings.js";
import { watchKey } from "./key_dialog.js";
import { Markers } from "./markers.js";
import { Refusal, ask, formOf, useModel } from "./service.js";
import { CellTable } from "./table.js";
import { openTab, watchTabs } from "./tabs.js";
import { watchTheme } from "./theme.js";
import { Why } from "./why.js";

const KINDS = [".h5ad", ".h5", ".npz", ".arrow"];
const ELSEWHERE = {
  ".csv": "Tables are read by the command line: cellmark annotate FILE.csv. Or write it as .h5ad: anndata.read_csv(\"FILE.csv\").write_h5ad(\"cells.h5ad\").",
  ".rds": "R objects cannot be read. In R: SeuratDisk or anndataR write an .h5ad.",
  ".gz": "Unpack it first. A 10x folder (matrix.mtx.gz) is read by the command line: cellmark annotate FOLDER; 10x's .h5 is read here.",
  ".zip": "Unpack it first.",
  ".zarr": "A zarr store is a folder, which the command line reads: cellmark annotate FOLDER.zarr.",
};

const state = { model: null, file: null, running: null, calls: null };
const map = new CellMap(byId("map"));
const table = new CellTable(byId("table"));
const onGene = (gene) => {
  if (!state.calls) return;
  openTab("cells");
  map.showGene(gene);
  byId("map-head").scrollIntoView({ block: "nearest" });
};
const why = new Why(byId("why"), { onGene });
const markers = new Markers(byId("markers"), { onGene });

// The model

async function loadModels() {
  try {
    const { models } = await (await ask("models", { root: true })).json();
    byId("model").replaceChildren(...models.map(({ model }) => el("option", { value: model, text: model })));
    byId("model").disabled = models.length < 2;
    state.served = models;
    await loadModel();
  } catch (error) {
    byId("status").replaceChildren(refused(error), el("p", { class: "buttons" }, el("button", { type: "button", text: "Try again", onclick: loadModels })));
  }
}

async function loadModel() {
  const version = byId("version").value.trim();
  const name = byId("model").value;
  const first = name === state.served[0].model && !version;
  useModel(first ? "" : name, version);
  try {
    state.model = await (await ask("model")).json();
  } catch (error) {
    state.model = state.calls = null;
    byId("results").hidden = byId("findings").hidden = true;
    byId("about").textContent = "";
    byId("status").replaceChildren(refused(error));
    return;
  }
  byId("status").replaceChildren();
  byId("version").placeholder = state.model.model_version ?? "none";
  markers.of(state.model.cell_types.map((type) => type.name));
  showFacts(byId("facts"), state.model);
  byId("about").textContent = aboutModel(state.model);
  if (!byId("view-markers").hidden) markers.open();
  send();
}

// A file

function options() {
  const form = byId("ask");
  return {
    library_size: form.library_size.value.trim(), layer: form.layer.value.trim(),
    as_sample: form.as_sample.checked, recover_counts: form.recover_counts.checked, orthologs: form.orthologs.checked,
  };
}

function take(file) {
  if (!file) return;
  const problem = refusedHere(file);
  if (problem) {
    showFindings(refusedList(problem, [], null), "cannot be read here", file);
    return;
  }
  state.file = file;
  byId("ask").library_size.value = "";
  byId("ask").layer.value = "";
  byId("ask").recover_counts.checked = byId("ask").orthologs.checked = false;
  byId("size-columns").replaceChildren();
  send();
}

/** What is wrong with a file by its name and size alone, so that it need not be sent; null where nothing is. */
function refusedHere(file) {
  const name = file.name.toLowerCase();
  const most = Number(document.documentElement.dataset.maxUploadBytes);
  const ending = name.slice(name.lastIndexOf("."));
  const finding = (code, expected, found, remedy) => new Refusal(415, { findings: [{ code, where: file.name, expected, found, remedy, severity: "error", examples: [] }] });
  if (!KINDS.includes(ending)) {
    const remedy = ELSEWHERE[ending] ?? "Write the cells as .h5ad, with raw counts in X.";
    return finding("FILE_FORMAT_UNKNOWN", KINDS.join(", "), `the extension ${ending}`, remedy);
  }
  if (file.size > most) {
    return finding("REQUEST_TOO_LARGE", `at most ${bytes(most)}`, bytes(file.size), "Send fewer cells at a time, or use the command line: cellmark annotate FILE. The service's operator sets the limit.");
  }
  return null;
}

async function send(changed = {}) {
  const form = byId("ask");
  for (const [name, value] of Object.entries(changed)) {
    if (typeof value === "boolean") form[name].checked = value;
    else form[name].value = value;
  }
  if (!state.file || !state.model) return;
  state.running?.abort();
  const running = (state.running = new AbortController());
  const { file } = state;
  const { signal } = running;
  byId("again").disabled = false;
  byId("results").hidden = byId("findings").hidden = true;
  state.calls = null;
  const stop = el("button", { type: "button", text: "Stop", onclick: () => running.abort() });
  byId("status").replaceChildren(el("p", { class: "busy" }, `Sending ${file.name} (${bytes(file.size)}), and having its cells named… `, stop));
  document.body.classList.add("asked");
  try {
    const answer = await (await ask("map", { body: formOf(file, { ...options(), rows: true, own: true }), signal })).json();
    if (signal.aborted) return;
    byId("status").replaceChildren();
    proposeColumns(answer.library_size_columns);
    showFindings(checklist(answer, send), null, file);
    showCalls(answer);
  } catch (error) {
    if (signal.aborted) byId("status").replaceChildren(el("p", { text: "Stopped." }));
    else await showRefusal(error, file, signal);
  }
}

async function showRefusal(error, file, signal) {
  byId("status").replaceChildren();
  if (!(error instanceof Refusal)) {
    byId("status").replaceChildren(refused(error), el("p", { class: "buttons" }, el("button", { type: "button", class: "main", text: "Try again", onclick: () => send() })));
    return;
  }
  let columns = [];
  if (error.findings.some((finding) => finding.code.startsWith("LIBRARY_SIZE_"))) columns = await columnsOf(file, signal);
  if (signal.aborted) return;
  proposeColumns(columns);
  showFindings(refusedList(error, columns, send), "was refused", file, error.requestId);
}

/** Columns of a refused file that may hold library sizes. */
async function columnsOf(file, signal) {
  try {
    const answer = await ask("validate", { body: formOf(file, { layer: options().layer }), signal });
    return (await answer.json()).library_size_columns ?? [];
  } catch {
    return [];
  }
}

function proposeColumns(columns) {
  byId("size-columns").replaceChildren(...columns.map((value) => el("option", { value })));
}

function showFindings(list, refusedAs, file, requestId = "") {
  byId("findings-head").textContent = refusedAs ? `${file.name} ${refusedAs}` : `${file.name} was read`;
  const parts = [list];
  if (requestId) parts.push(el("p", { class: "quiet", text: `Request ${requestId}, for the service's operator.` }));
  if (!refusedAs) parts.push(el("p", { class: "buttons" }, el("button", { type: "button", text: "Check the sample's quality too", onclick: checkQuality })));
  byId("checklist").replaceChildren(...parts);
  byId("findings").hidden = false;
  if (refusedAs) {
    byId("results").hidden = true;
    byId("findings-head").focus();
  }
}

async function checkQuality(event) {
  const button = event.target;
  button.disabled = true;
  button.textContent = "Checking…";
  try {
    const answer = await (await ask("validate", { body: formOf(state.file, withoutSample()), signal: state.running.signal })).json();
    const found = answer.findings.filter((finding) => finding.code.startsWith("QUALITY_") || finding.code.startsWith("CELLS_"));
    const refusal = new Refusal(200, { findings: found });
    button.replaceWith(found.length ? refusedList(refusal, [], null) : el("p", { text: "✓ The sample's quality is like that of the training data." }));
  } catch (error) {
    button.replaceWith(refused(error));
  }
}

function withoutSample() {
  const { as_sample: _, ...rest } = options();
  return rest;
}

// Calls

function showCalls(answer) {
  const calls = (state.calls = new Calls(answer, state.model.cell_types.map((type) => type.name)));
  byId("results").hidden = false;
  byId("sentence").textContent = sentence(calls);
  showComposition(byId("composition"), calls);
  table.show(calls);
  map.show(calls);
  why.show(calls);
  const name = state.file.name.replace(/\.[^.]+$/, "");
  byId("downloads").replaceChildren(
    download("Table of calls (CSV)", "annotate", "text/csv", `${name}.calls.csv`),
    download("Copy with the calls (.h5ad)", "annotate", "application/x-hdf5", `${name}.calls.h5ad`),
    download("Genes behind each call (CSV)", "attribute", "text/csv", `${name}.genes.csv`, true),
  );
  byId("calls-head").focus({ preventScroll: true });
}

function download(text, path, accept, name, explained = false) {
  const button = el("button", { type: "button", text, onclick: async () => {
    button.disabled = true;
    try {
      const chosen = explained ? { ...withoutSample(), against: "second" } : options();
      const answer = await ask(path, { body: formOf(state.file, chosen), accept, signal: state.running.signal });
      save(await answer.blob(), name);
      byId("status").replaceChildren();
    } catch (error) {
      byId("status").replaceChildren(refused(error));
    }
    button.disabled = false;
  } });
  return button;
}

// Dropping and choosing

byId("file").addEventListener("change", (event) => {
  take(event.target.files[0]);
  event.target.value = "";
});
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
byId("model").addEventListener("change", () => {
  byId("version").value = "";
  loadModel();
});
byId("version").addEventListener("change", loadModel);

const holdsFile = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragenter", (event) => holdsFile(event) && (byId("veil").hidden = false));
addEventListener("dragover", (event) => holdsFile(event) && event.preventDefault());
byId("veil").addEventListener("dragleave", () => (byId("veil").hidden = true));
addEventListener("drop", (event) => {
  if (!holdsFile(event)) return;
  event.preventDefault();
  byId("veil").hidden = true;
  openTab("cells");
  take(event.dataTransfer.files[0]);
});

watchKey(loadModels);
watchTabs({ markers: () => markers.open() });
watchTheme(() => map.draw());
loadModels();
