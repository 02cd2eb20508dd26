"use strict";
(() => {
  // The pictures' own titles come late and not on a touch screen: one box tells them at once.
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  addEventListener("pointermove", (event) => {
    const shape = event.target.closest && event.target.closest("svg :is(rect,circle,path)");
    const title = shape && shape.querySelector("title");
    const text = title ? title.textContent : shape && shape.dataset.tip;
    if (title) { shape.dataset.tip = text; title.remove(); }
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(6, Math.min(event.clientX + 14, innerWidth - box.width - 8)) + "px";
    tip.style.top = Math.max(6, event.clientY > innerHeight - 90 ? event.clientY - box.height - 12 : event.clientY + 16) + "px";
  });
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
})();
