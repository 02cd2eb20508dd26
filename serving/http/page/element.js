// Elements of the page, made without any HTML of text: names of cells and genes are never markup.

/** An element. `props`: attributes; `class`, `text`, handlers (`onclick`) and booleans as one expects. */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  assign(made, props);
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, props = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  assign(made, props);
  made.append(...children);
  return made;
}

function assign(made, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name === "class") made.setAttribute("class", value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) made.style.setProperty(key, one);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
}

export const byId = (id) => document.getElementById(id);

const whole = new Intl.NumberFormat("en");
export const count = (number) => whole.format(number);
export const cells = (number) => `${count(number)} ${number === 1 ? "cell" : "cells"}`;

/** A share as percent, with a decimal where it is small. */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return `${(100 * share).toFixed(share < 0.0995 || share > 0.995 ? 1 : 0).replace(/\.0$/, "")} %`;
}

export function bytes(number) {
  return number < 1e6 ? `${Math.ceil(number / 1e3)} kB` : `${(number / 1e6).toFixed(number < 1e8 ? 1 : 0)} MB`;
}

/** Hand a blob to the person as a file. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
