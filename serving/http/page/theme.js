// Light or dark: as the system has it, until the button says otherwise.

import { theme } from "./colours.js";
import { byId } from "./element.js";

/** `onChange`: what is drawn in the colours of a theme. */
export function watchTheme(onChange) {
  const mark = () => byId("theme").setAttribute("aria-pressed", String(theme() === "dark"));
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark";
    mark();
    onChange();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    mark();
    onChange();
  });
  mark();
}
