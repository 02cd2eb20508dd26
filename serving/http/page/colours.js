// Colours of cell types, by their place in the model, so that a type looks alike in every file.

const TYPES = [
  "#3b7dd8", "#e4572e", "#2a9d5c", "#a23bce", "#c98a00", "#17a2b8", "#d6336c", "#6b7a00", "#7b5cff", "#8c5a3c",
  "#00a087", "#e07ab0", "#5c6f82", "#f28c28", "#4aa84a", "#9b1b4b", "#5aa9e6", "#b5a100", "#b07ae0", "#3f6b5f",
];
export const UNASSIGNED_COLOUR = "#8a8f98";

export const colourOfType = (number, nTypes) => (number >= nTypes ? UNASSIGNED_COLOUR : TYPES[number % TYPES.length]);

/** Of a group of the file, by its number; -1 is none. */
export const colourOfGroup = (number) => (number < 0 ? UNASSIGNED_COLOUR : TYPES[number % TYPES.length]);

const SCALES = { light: [[222, 229, 233], [26, 92, 122]], dark: [[58, 66, 74], [126, 214, 240]] };

/** A colour between low, near the background, and high. `value`: 0 to 1. */
export function onScale(value, theme) {
  const [low, high] = SCALES[theme];
  const at = Math.min(Math.max(value, 0), 1);
  return `rgb(${low.map((from, i) => Math.round(from + (high[i] - from) * at)).join(",")})`;
}

export function theme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}
