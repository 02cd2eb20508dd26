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

/** Names of types at the middle of their cells, the largest first; those that find no room are left out. */
export function drawLabels(pen, calls, points, width, height) {
  const dark = theme() === "dark";
  pen.font = "600 12px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.lineJoin = "round";
  pen.lineWidth = 4;
  pen.strokeStyle = dark ? "#14191e" : "#fff";
  pen.fillStyle = dark ? "#f2f5f7" : "#12181d";
  const taken = [];
  const order = [...calls.types.keys()].filter((type) => type < calls.nTypes && calls.numbers[type] >= Math.max(calls.n / 200, 2))
    .sort((a, b) => calls.numbers[b] - calls.numbers[a]);
  for (const type of order) {
    if (calls.type !== null && calls.type !== type) continue;
    const half = pen.measureText(calls.types[type]).width / 2 + 4;
    const [atX, atY] = middle(calls, points, type);
    const x = Math.min(Math.max(atX, half), width - half);
    let y = atY;
    const hits = () => taken.some((other) => Math.abs(other.x - x) < other.half + half && Math.abs(other.y - y) < LINE);
    for (let tries = 0; tries < 8 && hits(); tries++) y += LINE;
    if (hits() || y < 8 || y > height - 4) continue;
    taken.push({ x, y, half });
    pen.strokeText(calls.types[type], x, y);
    pen.fillText(calls.types[type], x, y);
  }
}

function middle(calls, points, type) {
  const [xs, ys] = [[], []];
  for (let i = 0; i < calls.n; i++) {
    if (calls.call[i] !== type) continue;
    xs.push(points[2 * i]);
    ys.push(points[2 * i + 1]);
  }
  return [xs, ys].map((values) => values.sort((a, b) => a - b)[values.length >> 1]);
}
