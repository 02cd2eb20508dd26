"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const panels = [...document.querySelectorAll(".panel")];
  const picks = [...document.querySelectorAll(".picker a")];
  const show = (id) => {
    const chosen = panels.find((panel) => panel.id === id);
    if (!chosen) return false;
    for (const panel of panels) panel.classList.toggle("shown", panel === chosen);
    for (const pick of picks) {
      if (pick.hash === "#" + id) pick.setAttribute("aria-current", "true");
      else pick.removeAttribute("aria-current");
    }
    return true;
  };
  const follow = () => {
    if (show(location.hash.slice(1))) document.getElementById(location.hash.slice(1)).scrollIntoView({ block: "start" });
  };
  if (panels.length) show(panels[0].id);
  addEventListener("hashchange", follow);
  follow();
  for (const pick of picks) {
    pick.addEventListener("click", (event) => {
      event.preventDefault();
      show(pick.hash.slice(1));
      history.replaceState(null, "", pick.hash);
    });
    pick.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const next = step && picks[picks.indexOf(pick) + step];
      if (next) { event.preventDefault(); next.focus(); next.click(); }
    });
  }
  const links = [...document.querySelectorAll("nav a")];
  const seen = new Map();
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) seen.set(entry.target.id, entry.isIntersecting);
    const first = links.find((link) => seen.get(link.hash.slice(1)));
    for (const link of links) {
      if (link === first) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-60px 0px -60% 0px" });
  for (const link of links) watch.observe(document.getElementById(link.hash.slice(1)));

  const maps = document.querySelector(".maps");
  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      for (const other of document.querySelectorAll(".legend button")) other.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-pressed", String(on));
      maps.classList.toggle("picked", on);
      for (const mark of maps.querySelectorAll(".on")) mark.classList.remove("on");
      if (on) for (const mark of maps.querySelectorAll("." + button.dataset.type)) mark.classList.add("on");
    });
  }

  const theme = document.getElementById("theme");
  if (theme) {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const word = () => { theme.textContent = isDark() ? "Light page" : "Dark page"; };
    theme.hidden = false;
    theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; word(); });
    system.addEventListener("change", word);
    word();
  }

  addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
})();
