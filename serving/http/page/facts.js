// What is known of the model: what it names, what it learned from, how well it did, and exactly which one it is.

import { count, el, percent, save } from "./element.js";
import { ask } from "./service.js";

const MOST_NAMED = 8;

/** The model in a sentence or two. */
export function aboutModel(model) {
  const names = model.cell_types.map((type) => type.name);
  const more = names.length - MOST_NAMED;
  const listed = more > 0 ? `${names.slice(0, MOST_NAMED).join(", ")} and ${more} more` : names.join(", ");
  const right = model.metrics?.test?.accuracy;
  const tested = typeof right === "number" ? ` Right for ${percent(right)} of ${testedOn(model.split)}.` : "";
  const organism = model.organism ? ` of ${model.organism}` : "";
  return `${model.model} knows ${names.length} cell types${organism}: ${listed}.${tested}`;
}

export function showFacts(place, model) {
  const { training_data: data, metrics } = model;
  const accuracy = metrics?.test?.accuracy;
  const tests = metrics?.test?.per_type ?? {};
  const rows = [
    ["Model", `${model.model}${model.model_version ? `, version ${model.model_version}` : ""}`],
    ["Organism", model.organism ?? "not stated"],
    ["Names", `${model.cell_types.length} cell types`],
    ["Reads", `${count(model.panel.n_genes)} genes of the ${count(model.n_genes_measured)} that were measured`],
    ["Learned from", `${count(data.n_cells)} labelled cells${data.library_size_source === "normalised" ? ", normalised" : ""}`],
    ["Tested on", testedOn(model.split)],
    ...(typeof accuracy === "number" ? [["Right for", `${percent(accuracy)} of test cells`]] : []),
    ["Judges whole samples", model.whole_samples ? "yes: a shift of the whole sample raises its limit for “unassigned”" : "no"],
    ["Made", `${model.created.slice(0, 10)}, cellmark ${model.cellmark_version} serves it`],
    ["Bundle", el("code", { text: model.bundle_digest })],
  ];
  const types = el("table", {}, el("caption", { text: "Cell types" }),
    el("thead", {}, el("tr", {}, ["Type", "Term", "Cells learned from", "Found in test", "Right when called"].map((name) => el("th", { scope: "col", text: name })))),
    el("tbody", {}, model.cell_types.map((type) => el("tr", {}, el("td", { text: type.name }), el("td", { text: type.ontology_id ?? "–" }),
      el("td", { text: data.cells_per_type?.[type.name] === undefined ? "–" : count(data.cells_per_type[type.name]) }),
      el("td", { text: share(tests[type.name]?.recall) }), el("td", { text: share(tests[type.name]?.precision) })))));
  const report = el("button", { type: "button", text: "Download the report", onclick: () => downloadReport(said, model) });
  const said = el("p", { class: "quiet", role: "status" });
  place.replaceChildren(el("dl", { class: "facts" }, rows.flatMap(([name, value]) => [el("dt", { text: name }), el("dd", {}, value)])),
    el("p", { class: "buttons" }, report), said, el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Cell types" }, types));
}

const share = (value) => (typeof value === "number" ? percent(value) : "–");

function testedOn(split) {
  const held = split.test?.donors;
  const cells = `${count(split.test?.n_cells ?? 0)} cells`;
  return held?.length ? `${cells} of ${held.length} ${held.length === 1 ? "donor" : "donors"} that it had never seen` : `${cells} that it had never seen, of the same data`;
}

async function downloadReport(said, model) {
  try {
    save(await (await ask("report", { accept: "text/html" })).blob(), `${model.model}-report.html`);
    said.textContent = "";
  } catch (error) {
    said.textContent = error.code === "REPORT_MISSING" ? "This model carries no report." : error.message;
  }
}
