// UMAP (McInnes, Healy and Melville, arXiv:1802.03426) of a few thousand cells: exact neighbours, a fuzzy graph, and a
// layout by stochastic gradient descent that starts from principal components. The same input and seed give the same map.

export const NEIGHBOURS = 15;
export const MIN_DIST = 0.1;
/** Of the curve 1 / (1 + a d^2b) that fits `MIN_DIST` and a spread of 1. */
export const A = 1.5769434602;
export const B = 0.8950608778;
const EPOCHS = 400;
const NEGATIVES = 5;
const MOST_STEP = 4;

/** The nearest of `k` points of each row, itself first: `{ indices, distances }`, n x k. `X`: n x d, row by row. */
export function nearest(X, n, d, k) {
  const indices = new Int32Array(n * k).fill(-1);
  const distances = new Float32Array(n * k).fill(Infinity);
  for (let i = 0; i < n; i++) {
    indices[i * k] = i;
    distances[i * k] = 0;
  }
  const insert = (row, other, value) => {
    let at = row * k + k - 1;
    if (value >= distances[at]) return;
    for (; at > row * k + 1 && distances[at - 1] > value; at--) {
      distances[at] = distances[at - 1];
      indices[at] = indices[at - 1];
    }
    distances[at] = value;
    indices[at] = other;
  };
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      let sum = 0;
      for (let c = 0; c < d; c++) {
        const apart = X[i * d + c] - X[j * d + c];
        sum += apart * apart;
      }
      insert(i, j, sum);
      insert(j, i, sum);
    }
  }
  for (let at = 0; at < distances.length; at++) distances[at] = Math.sqrt(distances[at]);
  return { indices, distances };
}

/** How far each point's neighbourhood reaches, so that its memberships sum to log2(k): `{ rho, sigma }`. */
export function scales(distances, n, k) {
  const rho = new Float64Array(n);
  const sigma = new Float64Array(n);
  const wanted = Math.log2(k);
  let total = 0;
  for (const value of distances) total += value;
  for (let i = 0; i < n; i++) {
    const row = distances.subarray(i * k, (i + 1) * k);
    rho[i] = row.find((value) => value > 0) ?? 0;
    let [low, high, middle] = [0, Infinity, 1];
    for (let step = 0; step < 64; step++) {
      let sum = 0;
      for (let j = 1; j < k; j++) sum += Math.exp(-Math.max(row[j] - rho[i], 0) / middle);
      if (Math.abs(sum - wanted) < 1e-5) break;
      if (sum > wanted) {
        high = middle;
        middle = (low + high) / 2;
      } else {
        low = middle;
        middle = high === Infinity ? middle * 2 : (low + high) / 2;
      }
    }
    const mean = (rho[i] > 0 ? row.reduce((a, b) => a + b, 0) / k : total / distances.length) * 1e-3;
    sigma[i] = Math.max(middle, mean);
  }
  return { rho, sigma };
}

/** Edges of the fuzzy graph, both ways: `{ heads, tails, weights }`. */
export function fuzzyGraph({ indices, distances }, n, k) {
  const { rho, sigma } = scales(distances, n, k);
  const member = new Map();
  for (let i = 0; i < n; i++) {
    for (let j = 1; j < k; j++) {
      const other = indices[i * k + j];
      if (other < 0) continue;
      member.set(i * n + other, Math.exp(-Math.max(distances[i * k + j] - rho[i], 0) / sigma[i]));
    }
  }
  const [heads, tails, weights] = [[], [], []];
  const add = (i, j, weight) => {
    heads.push(i);
    tails.push(j);
    weights.push(weight);
  };
  for (const [place, there] of member) {
    const [i, j] = [Math.floor(place / n), place % n];
    const back = member.get(j * n + i);
    const weight = there + (back ?? 0) - there * (back ?? 0);
    add(i, j, weight);
    if (back === undefined) add(j, i, weight);
  }
  return { heads: Int32Array.from(heads), tails: Int32Array.from(tails), weights: Float32Array.from(weights) };
}

/** Uniform numbers in [0, 1). */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** The map of `X`, n x d: Float32Array, n x 2. `start`: n x 2. `onProgress` gets the map on its way and the share that
 * is done. */
export function umap(X, n, d, start, { seed = 0, epochs = EPOCHS, onProgress = () => {} } = {}) {
  const k = Math.min(NEIGHBOURS, n);
  const random = generator(seed);
  const place = started(start, n, random);
  if (n < 4) return place;
  const { heads, tails, weights } = fuzzyGraph(nearest(X, n, d, k), n, k);
  const most = weights.reduce((a, b) => Math.max(a, b), 0);
  const every = Float32Array.from(weights, (weight) => (weight * epochs < most ? Infinity : most / weight));
  const due = Float32Array.from(every);
  const dueAway = Float32Array.from(every, (value) => value / NEGATIVES);
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const rate = 1 - (epoch - 1) / epochs;
    for (let edge = 0; edge < heads.length; edge++) {
      if (due[edge] > epoch) continue;
      const [i, j] = [heads[edge] * 2, tails[edge] * 2];
      pull(place, i, j, rate);
      due[edge] += every[edge];
      const times = Math.floor((epoch - dueAway[edge]) / (every[edge] / NEGATIVES)) + 1;
      for (let time = 0; time < times; time++) push(place, i, Math.floor(random() * n) * 2, rate);
      dueAway[edge] += (times * every[edge]) / NEGATIVES;
    }
    if (epoch % 40 === 0) onProgress(place, epoch / epochs);
  }
  return place;
}

function started(start, n, random) {
  let most = 0;
  for (const value of start) most = Math.max(most, Math.abs(value));
  const factor = most > 0 ? 10 / most : 0;
  return Float32Array.from({ length: n * 2 }, (_, i) => start[i] * factor + (random() - 0.5) * 2e-4);
}

const cut = (value) => Math.max(-MOST_STEP, Math.min(MOST_STEP, value));

function pull(place, i, j, rate) {
  const [x, y] = [place[i] - place[j], place[i + 1] - place[j + 1]];
  const square = x * x + y * y;
  if (square === 0) return;
  const power = Math.pow(square, B);
  const slope = (-2 * A * B * (power / square)) / (1 + A * power);
  const [dx, dy] = [cut(slope * x) * rate, cut(slope * y) * rate];
  place[i] += dx;
  place[i + 1] += dy;
  place[j] -= dx;
  place[j + 1] -= dy;
}

function push(place, i, j, rate) {
  if (i === j) return;
  const [x, y] = [place[i] - place[j], place[i + 1] - place[j + 1]];
  const square = x * x + y * y;
  if (square === 0) return;
  const slope = (2 * B) / ((0.001 + square) * (1 + A * Math.pow(square, B)));
  place[i] += cut(slope * x) * rate;
  place[i + 1] += cut(slope * y) * rate;
}
