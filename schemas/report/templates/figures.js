"use strict";
(() => {
  // Each picture of a figure can be saved as SVG: with its own styles, on white, its text as text.
  const rules = document.getElementById("figure-style");
  if (!rules) return;
  const slug = (text) => text.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60);
  window.save = (name, kind, parts) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(parts, { type: kind }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  window.slug = slug;
  const model = slug(document.querySelector("h1").firstChild.textContent) || "model";
  const saveSvg = (svg) => {
    const copy = svg.cloneNode(true);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("font-family", "Helvetica, Arial, sans-serif");
    for (const link of copy.querySelectorAll("a")) link.replaceWith(...link.childNodes);
    for (const shape of copy.querySelectorAll("[data-tip]")) shape.removeAttribute("data-tip");
    const style = document.createElementNS("http://www.w3.org/2000/svg", "style");
    style.textContent = rules.textContent.replace(/\bsvg /g, "");
    copy.prepend(style);
    save(model + "-" + slug(svg.getAttribute("aria-label")) + ".svg", "image/svg+xml", [new XMLSerializer().serializeToString(copy)]);
  };
  for (const svg of document.querySelectorAll("main svg[role=img]")) {
    if (svg.closest("figcaption")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "svg";
    button.textContent = "Save SVG";
    button.setAttribute("aria-label", "Save as SVG: " + svg.getAttribute("aria-label"));
    button.addEventListener("click", () => saveSvg(svg));
    (svg.closest(".scroll") || svg).after(button);
  }
})();
