// The map: points on a canvas, coloured by call, by a number, or by a gene; a click chooses the nearest cell.

import { colourOfGroup, colourOfType, onScale, theme } from "./colours.js";
import { el, percent } from "./element.js";
import { drawLabels, placesOn } from "./map_places.js";

const NEAR = 14;
/** Up to so many cells the UMAP is computed by itself; beyond, when asked for. */
const AT_ONCE = 6000;

export class CellMap {
  constructor(place) {
    this.place = place;
  }

  show(calls) {
    this.worker?.terminate();
    this.calls = calls;
    this.map = calls.answer.map;
    this.own = calls.answer.own_maps;
    this.canvas = null;
    if (!this.map && !this.own.length) {
      const why = calls.n > 1 ? "There is no map of so many cells, or this model has no embedding." : "One cell makes no map.";
      this.place.replaceChildren(el("p", { class: "quiet", text: why }));
      return;
    }
    this.layouts = this.map ? { pca: Float32Array.from(this.map.plane.flat()) } : {};
    this.own.forEach(({ places }, i) => (this.layouts[`own${i}`] = Float32Array.from(places.flat())));
    // People know their way about their own map.
    this.layout = this.own.length ? "own0" : "pca";
    this.values = this.group = null;
    this.touched = false;
    this.view = { scale: 1, x: 0, y: 0 };
    this.#build();
    calls.addEventListener("changed", () => this.draw());
    this.watch?.disconnect();
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(this.canvas);
    if (this.map?.embedding && calls.n >= 10) {
      if (calls.n <= AT_ONCE && !this.own.length) this.#compute();
    } else if (this.map) this.radios.umap.disabled = true;
    this.#say();
  }

  #build() {
    const radio = (value, text) => el("label", { class: "tick" }, el("input", {
      type: "radio", name: "layout", value, checked: value === this.layout, onchange: () => this.#choose(value),
    }), text);
    const layouts = this.own.map(({ name }, i) => radio(`own${i}`, `${name.replace(/^X_/, "")} of the file`));
    if (this.map) layouts.push(radio("pca", "PCA"), radio("umap", "UMAP"));
    this.radios = Object.fromEntries(layouts.map(({ firstChild }) => [firstChild.value, firstChild]));
    const known = Number.isNaN(this.calls.novelty[0]) ? [] : [["novelty", "novelty"]];
    this.colour = el("select", { onchange: () => this.#colourBy(this.colour.value) },
      [["call", "call"], ...this.calls.groups.map(({ name }, i) => [`group${i}`, name]), ["confidence", "confidence"], ...known, ["gene", "a gene"]].map(([value, text]) => el("option", { value, text })));
    this.gene = el("input", {
      list: "map-genes", placeholder: "gene", size: "9", hidden: true, spellcheck: "false", "aria-label": "Gene to colour by",
      onchange: () => this.showGene(this.gene.value.trim()),
    });
    const genes = el("datalist", { id: "map-genes" }, this.calls.genes().map((value) => el("option", { value })));
    this.canvas = el("canvas", {
      tabindex: "0", role: "img", class: "map",
      "aria-label": "Map of the cells. The table below lists the same cells. Arrow keys move the map, plus and minus zoom, 0 shows all.",
      onclick: (event) => !this.moved && this.#pick(event), onpointerdown: (event) => this.#grab(event),
      onpointermove: (event) => this.#move(event), onpointerup: () => (this.held = null), onpointerleave: () => this.#hover(null),
      onkeydown: (event) => this.#key(event),
    });
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== this.canvas) return;
      event.preventDefault();
      this.#zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
    }, { passive: false });
    const zoom = (text, label, factor) => el("button", { type: "button", text, "aria-label": label, onclick: () => this.#zoom(factor) });
    this.tip = el("div", { class: "tip", hidden: true });
    this.legend = el("p", { class: "legend quiet" });
    this.caption = el("p", { class: "quiet", id: "map-caption", role: "status" });
    this.place.replaceChildren(
      el("div", { class: "fields" }, el("fieldset", { class: "plain" }, el("legend", { class: "unseen", text: "Layout" }), layouts),
        el("label", { text: "Colour by " }, this.colour), this.gene, genes,
        el("span", { class: "zoom" }, zoom("−", "Zoom out", 1 / 1.5), zoom("+", "Zoom in", 1.5), zoom("All", "Show all cells", 0))),
      el("div", { class: "canvas" }, this.canvas, this.tip), this.legend, this.caption);
  }

  #choose(layout) {
    if (layout === "umap" && !this.layouts.umap) {
      this.touched = false;
      this.#compute();
      return;
    }
    this.layout = layout;
    this.radios[layout].checked = true;
    this.#say();
    this.draw();
  }

  #compute() {
    if (this.worker) this.worker.terminate();
    this.worker = new Worker(workerUrl(), { type: "module" });
    const { embedding } = this.map;
    const started = performance.now();
    this.worker.onmessage = ({ data }) => {
      this.layouts.umap = data.place;
      this.done = data.share;
      if (data.share < 1 && matchMedia("(prefers-reduced-motion: reduce)").matches) return;
      if (data.share === 1) {
        this.worker.terminate();
        this.worker = null;
        this.seconds = (performance.now() - started) / 1000;
      }
      if (!this.touched || this.layout === "umap") this.#choose("umap");
    };
    this.worker.onerror = () => this.#say("The UMAP could not be computed here; the plane is of principal components.");
    this.#say("Computing a UMAP…");
    const d = embedding[0].length;
    this.worker.postMessage({ X: Float32Array.from(embedding.flat()), n: this.calls.n, d, start: this.layouts.pca });
  }

  #say(text) {
    const [x, y] = this.map?.explained ?? [];
    const own = this.own[this.layout.slice(3)]?.name;
    const still = own ? `“${own}” as the file has it (obsm): the model took no part in it.` : `First two principal components of the model's embedding (${percent(x)} and ${percent(y)} of its variance): a plane, not a UMAP.`;
    const umap = "UMAP of the model's embedding, computed in this browser (15 neighbours, minimum distance 0.1). "
      + "Near cells are alike; how far groups lie from each other says little.";
    const working = this.layout === "umap" && this.done < 1 ? ` Still moving: ${percent(this.done)}.` : "";
    this.caption.textContent = text ?? (this.layout === "umap" ? umap + working : still);
    this.canvas.dataset.layout = this.layout === "umap" && this.done < 1 ? "moving" : this.layout;
  }

  #colourBy(value) {
    this.gene.hidden = value !== "gene";
    this.group = this.calls.groups[value.slice(5)] ?? null;
    if (value === "gene") {
      this.values = null;
      this.gene.focus();
    } else if (value === "call" || this.group) this.values = null;
    else {
      const top = value === "confidence" ? 1 : this.calls.novelty.reduce((a, b) => Math.max(a, b), -Infinity);
      const low = value === "confidence" ? 0 : this.calls.novelty.reduce((a, b) => Math.min(a, b), Infinity);
      this.values = { of: this.calls[value], low, top, name: value };
    }
    this.draw();
  }

  /** Colour by a gene; says so where the model does not read it. */
  showGene(gene) {
    if (!this.canvas) return false;
    const of = this.calls.expression(gene);
    this.group = null;
    this.colour.value = "gene";
    this.gene.hidden = false;
    this.gene.value = gene;
    this.values = of && { of, low: 0, top: Math.max(of.reduce((a, b) => Math.max(a, b), 0), 1e-6), name: `${gene}, ln(1 + counts per 10,000)` };
    this.draw();
    if (!of) this.legend.textContent = `${gene || "No gene"}: not among the genes that the model reads of this file.`;
    return of !== null;
  }

  draw() {
    if (!this.canvas?.isConnected || !this.canvas.clientWidth) return;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const ratio = devicePixelRatio || 1;
    [this.canvas.width, this.canvas.height] = [width * ratio, height * ratio];
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    this.points = placesOn(this.layouts[this.layout], this.view, width, height);
    const { calls, points } = this;
    const mode = theme();
    const radius = Math.max(calls.n > 20_000 ? 1.2 : calls.n > 4000 ? 1.8 : calls.n > 600 ? 2.6 : 3.6, 1) * Math.sqrt(this.view.scale);
    const groups = new Map();
    for (let i = 0; i < calls.n; i++) {
      const faded = !this.values && !calls.isShown(i);
      const colour = this.values ? onScale(Math.round((20 * (this.values.of[i] - this.values.low)) / (this.values.top - this.values.low || 1)) / 20, mode)
        : this.group ? colourOfGroup(this.group.codes[i]) : colourOfType(calls.call[i], calls.nTypes);
      const key = faded ? "faded" : colour;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(i);
    }
    const order = [...groups.keys()].sort((a, b) => (b === "faded") - (a === "faded"));
    for (const key of order) {
      pen.fillStyle = key === "faded" ? (mode === "dark" ? "#39414a" : "#d9dde1") : key;
      pen.beginPath();
      for (const i of groups.get(key)) {
        pen.moveTo(points[2 * i] + radius, points[2 * i + 1]);
        pen.arc(points[2 * i], points[2 * i + 1], radius, 0, 7);
      }
      pen.fill();
    }
    const named = this.group ? { names: this.group.groups, of: this.group.codes, only: null }
      : { names: calls.types.slice(0, calls.nTypes), of: calls.call, only: calls.type };
    drawLabels(pen, named, points, width, height);
    if (calls.cell !== null) {
      pen.strokeStyle = mode === "dark" ? "#fff" : "#000";
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(points[2 * calls.cell], points[2 * calls.cell + 1], radius + 4, 0, 7);
      pen.stroke();
    }
    this.legend.replaceChildren(...(this.values ? [this.values.name, " ", el("span", { text: this.values.low.toFixed(2) }),
      el("span", { class: "scale" }, Array.from({ length: 12 }, (_, i) => el("span", { style: { background: onScale(i / 11, mode) } }))),
      el("span", { text: this.values.top.toFixed(2) })] : [this.group ? `Colours are those of “${this.group.name}” in the file, not of the calls.` : "Colours are those of the composition; grey cells are unassigned."]));
  }

  #near(event) {
    let [best, least] = [null, NEAR * NEAR];
    for (let i = 0; this.points && i < this.calls.n; i++) {
      const [x, y] = [this.points[2 * i] - event.offsetX, this.points[2 * i + 1] - event.offsetY];
      if (x * x + y * y < least && this.calls.isShown(i)) [best, least] = [i, x * x + y * y];
    }
    return best;
  }

  #pick(event) {
    const cell = this.#near(event);
    if (cell !== null) this.calls.look({ cell });
  }

  #grab(event) {
    this.held = { x: event.offsetX, y: event.offsetY, view: { ...this.view } };
    this.moved = false;
  }

  #move(event) {
    if (!this.held || !(event.buttons & 1)) {
      this.#hover(event.pointerType === "mouse" ? event : null);
      return;
    }
    if (event.pointerType !== "mouse") return;
    const [dx, dy] = [event.offsetX - this.held.x, event.offsetY - this.held.y];
    if (Math.hypot(dx, dy) < 4) return;
    this.moved = this.touched = true;
    this.view = { ...this.held.view, x: this.held.view.x + dx, y: this.held.view.y + dy };
    this.draw();
  }

  #hover(event) {
    const cell = event ? this.#near(event) : null;
    this.tip.hidden = cell === null;
    if (cell === null) return;
    const { calls } = this;
    const value = this.values && !["confidence"].includes(this.values.name) ? `, ${this.values.name.split(",")[0]} ${this.values.of[cell].toFixed(2)}` : "";
    const group = this.group ? `, ${this.group.name} ${calls.groupOf(this.group, cell) || "–"}` : "";
    this.tip.textContent = `${calls.ids[cell]}: ${calls.types[calls.call[cell]]}, confidence ${calls.confidence[cell].toFixed(2)}${value}${group}`;
    this.tip.style.left = `${Math.min(event.offsetX + 12, this.canvas.clientWidth - 190)}px`;
    this.tip.style.top = `${event.offsetY + 14}px`;
  }

  #zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (factor === 0) this.view = { scale: 1, x: 0, y: 0 };
    else {
      const scale = Math.min(Math.max(this.view.scale * factor, 1), 40);
      const by = scale / this.view.scale;
      this.view = { scale, x: (this.view.x + width / 2 - x) * by - width / 2 + x, y: (this.view.y + height / 2 - y) * by - height / 2 + y };
    }
    this.draw();
  }

  #key(event) {
    const moves = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
    if (event.key in moves) {
      this.view.x += moves[event.key][0];
      this.view.y += moves[event.key][1];
      this.draw();
    } else if (event.key === "+" || event.key === "=") this.#zoom(1.5);
    else if (event.key === "-") this.#zoom(1 / 1.5);
    else if (event.key === "0") this.#zoom(0);
    else return;
    event.preventDefault();
  }
}

let policy = null;

/** The worker's address; browsers with Trusted Types want it from a policy, which makes no other. */
function workerUrl() {
  const address = new URL("umap_worker.js", import.meta.url).href;
  if (!globalThis.trustedTypes) return address;
  policy ??= trustedTypes.createPolicy("cellmark", { createScriptURL: () => address });
  return policy.createScriptURL("");
}
