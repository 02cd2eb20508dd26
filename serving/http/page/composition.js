// How many cells of each type: bars that are buttons, since a type is what one looks into next.

import { colourOfType } from "./colours.js";
import { cells, count, el, percent } from "./element.js";

export function showComposition(place, calls) {
  const order = [...calls.types.keys()].filter((type) => calls.numbers[type] > 0)
    .sort((a, b) => (a === calls.nTypes) - (b === calls.nTypes) || calls.numbers[b] - calls.numbers[a]);
  const most = Math.max(...calls.numbers);
  const buttons = order.map((type) => el(
    "button",
    {
      type: "button", class: "bar", "aria-pressed": "false",
      "aria-label": `${calls.types[type]}: ${cells(calls.numbers[type])}, ${percent(calls.numbers[type] / calls.n)}`,
      onclick: () => calls.look({ type: calls.type === type ? null : type, cell: null }),
    },
    el("span", { class: "name" }, el("span", { class: "swatch", style: { background: colourOfType(type, calls.nTypes) } }), calls.types[type]),
    el("span", { class: "value", text: `${count(calls.numbers[type])} · ${percent(calls.numbers[type] / calls.n)}` }),
    el("span", { class: "track" }, el("span", {
      style: { width: `${(100 * calls.numbers[type]) / most}%`, background: colourOfType(type, calls.nTypes) },
    })),
  ));
  const mark = () => order.forEach((type, i) => buttons[i].setAttribute("aria-pressed", String(calls.type === type)));
  calls.addEventListener("changed", mark);
  place.replaceChildren(el("div", { class: "bars", role: "group", "aria-label": "Cells of each type" }, buttons),
    el("p", { class: "quiet", text: "Choose a type to see its cells and the genes behind it; once more for all." }));
}

/** What came out, in a sentence or two. */
export function sentence(calls) {
  const unassigned = calls.numbers[calls.nTypes];
  const named = calls.n - unassigned;
  const top = [...calls.types.keys()].filter((type) => type < calls.nTypes && calls.numbers[type] > 0)
    .sort((a, b) => calls.numbers[b] - calls.numbers[a]).slice(0, 3)
    .map((type) => `${calls.types[type]} (${percent(calls.numbers[type] / calls.n)})`);
  const first = `${count(named)} of ${cells(calls.n)} have a name.`;
  const most = top.length ? ` Most are ${top.length > 1 ? `${top.slice(0, -1).join(", ")} and ${top.at(-1)}` : top[0]}.` : "";
  const rest = unassigned
    ? ` ${cells(unassigned)} (${percent(unassigned / calls.n)}) stay unassigned: they are unlike every type that the model knows.` : "";
  return first + most + rest;
}
