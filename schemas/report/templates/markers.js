"use strict";
(() => {
  // The marker table inside the page: searched by gene, and saved as CSV. Nothing is asked of a network.
  const block = document.getElementById("marker-data");
  if (!block) return;
  const { model, types, columns } = JSON.parse(block.textContent);
  const rows = columns.cell_type.map((_, row) => row);
  const names = Object.keys(columns);
  const field = (value) => {
    const text = value === null ? "" : String(value);
    return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  };
  const csv = (chosen) => [names, ...chosen.map((row) => names.map((name) => name === "cell_type" ? types[columns[name][row]] : columns[name][row]))]
    .map((line) => line.map(field).join(",") + "\n").join("");
  const saveCsv = (chosen, what) => save([slug(model), "markers", what].filter(Boolean).join("-") + ".csv", "text/csv", [csv(chosen)]);
  for (const button of document.querySelectorAll("[data-markers]")) {
    const type = Number(button.dataset.markers);
    const own = rows.filter((row) => columns.cell_type[row] === type);
    if (!own.length) continue;
    button.parentElement.hidden = false;
    button.addEventListener("click", () => saveCsv(own, slug(types[type])));
  }
  const input = document.getElementById("gene");
  if (!rows.length) return;
  document.querySelector(".find").hidden = false;
  document.getElementById("all-markers").addEventListener("click", () => saveCsv(rows, ""));
  const symbols = [...new Set(columns.gene_symbol)].sort();
  const make = (tag, text, attributes) => {
    const made = Object.assign(document.createElement(tag), attributes || {});
    if (text !== undefined) made.textContent = text;
    return made;
  };
  document.getElementById("genes").append(...symbols.map((symbol) => make("option", undefined, { value: symbol })));
  const found = document.getElementById("found");
  const shown = [["fraction_in", "% in", (x) => (100 * x).toFixed(0)], ["fraction_out", "% out", (x) => (100 * x).toFixed(0)],
    ["log2_fold_change", "log2FC", (x) => x.toFixed(2)], ["auc", "AUC", (x) => x.toFixed(2)]].filter(([name]) => columns[name]);
  const look = () => {
    const asked = input.value.trim().toLowerCase();
    found.replaceChildren();
    if (!asked) return;
    const matches = rows.filter((row) => columns.gene_symbol[row].toLowerCase() === asked || (columns.gene_id && (columns.gene_id[row] || "").toLowerCase() === asked));
    if (!matches.length) {
      const alike = symbols.filter((symbol) => symbol.toLowerCase().startsWith(asked)).slice(0, 12);
      found.append(make("p", alike.length ? "Genes that begin so: " : "No type has this gene among its first markers.", { className: "note" }));
      for (const symbol of alike) {
        const pick = make("button", symbol, { type: "button" });
        pick.addEventListener("click", () => { input.value = symbol; look(); input.focus(); });
        found.append(pick, " ");
      }
      return;
    }
    const table = make("table");
    const head = table.createTHead().insertRow();
    for (const [text, number] of [["Marks", false], ["Rank", true], ...shown.map(([, text]) => [text, true])])
      head.append(make("th", text, { scope: "col", className: number ? "num" : "" }));
    const body = table.createTBody();
    for (const row of matches.sort((a, b) => columns.rank[a] - columns.rank[b])) {
      const line = body.insertRow();
      const type = columns.cell_type[row];
      line.insertCell().append(make("a", types[type], { href: "#type-" + (type + 1) }));
      line.append(make("td", columns.rank[row], { className: "num" }));
      for (const [name, , words] of shown) {
        const value = columns[name][row];
        line.append(make("td", value === null ? "–" : words(value), { className: "num" }));
      }
    }
    const symbol = columns.gene_symbol[matches[0]];
    found.append(make("p", symbol + " is among the first markers of " + (matches.length === 1 ? "one type:" : matches.length + " types:"), { className: "note" }), table);
  };
  input.addEventListener("input", look);
})();
