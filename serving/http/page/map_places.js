// Where points and names are on a canvas.

import { theme } from "./colours.js";

const MARGIN = 18;
const LINE = 16;

/** Pixels of all points, x and y by turns. `layout`: their places in any unit; `view`: zoom, and how far it was moved. */
export function placesOn(layout, view, width, height) {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < layout.length; i += 2) {
    left = Math.min(left, layout[i]);
    right = Math.max(right, layout[i]);
    top = Math.min(top, layout[i + 1]);
    bottom = Math.max(bottom, layout[i + 1]);
  }
  const [wide, high] = [(width - 2 * MARGIN) / (right - left || 1), (height - 2 * MARGIN) / (bottom - top || 1)];
  return Float32Array.from(layout, (value, i) => (i % 2
    ? (MARGIN + (bottom - value) * high - height / 2) * view.scale + height / 2 + view.y
    : (MARGIN + (value - left) * wide - width / 2) * view.scale + width / 2 + view.x));
}

/** Names of groups at the middle of their cells, the largest first; those that find no room are left out. `of`: the
 * number of each cell's group; `only`: the number of the one that is looked at, null for all. */
export function drawLabels(pen, { names, of, only }, points, width, height) {
  const dark = theme() === "dark";
  pen.font = "600 12px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.lineJoin = "round";
  pen.lineWidth = 4;
  pen.strokeStyle = dark ? "#14191e" : "#fff";
  pen.fillStyle = dark ? "#f2f5f7" : "#12181d";
  const taken = [];
  const numbers = new Int32Array(names.length);
  for (const group of of) if (group >= 0 && group < names.length) numbers[group]++;
  const order = [...names.keys()].filter((group) => numbers[group] >= Math.max(of.length / 200, 2)).sort((a, b) => numbers[b] - numbers[a]);
  for (const group of order) {
    if (only !== null && only !== group) continue;
    const half = pen.measureText(names[group]).width / 2 + 4;
    const [atX, atY] = middle(of, points, group);
    const x = Math.min(Math.max(atX, half), width - half);
    let y = atY;
    const hits = () => taken.some((other) => Math.abs(other.x - x) < other.half + half && Math.abs(other.y - y) < LINE);
    for (let tries = 0; tries < 8 && hits(); tries++) y += LINE;
    if (hits() || y < 8 || y > height - 4) continue;
    taken.push({ x, y, half });
    pen.strokeText(names[group], x, y);
    pen.fillText(names[group], x, y);
  }
}

function middle(of, points, group) {
  const [xs, ys] = [[], []];
  for (let i = 0; i < of.length; i++) {
    if (of[i] !== group) continue;
    xs.push(points[2 * i]);
    ys.push(points[2 * i + 1]);
  }
  return [xs, ys].map((values) => values.sort((a, b) => a - b)[values.length >> 1]);
}
