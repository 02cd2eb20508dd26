// The views of the page as tabs: a click or an arrow key opens one.

import { byId } from "./element.js";

const TABS = ["cells", "markers", "model"];
let opened = {};

/** `onOpen`: what to do as a view is opened, by its name. */
export function watchTabs(onOpen) {
  opened = onOpen;
  for (const name of TABS) {
    byId(`tab-${name}`).addEventListener("click", () => openTab(name));
    byId(`tab-${name}`).addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (step) openTab(TABS[(TABS.indexOf(name) + step + TABS.length) % TABS.length], true);
    });
  }
}

export function openTab(name, focus = false) {
  for (const one of TABS) {
    const tab = byId(`tab-${one}`);
    tab.setAttribute("aria-selected", String(one === name));
    tab.tabIndex = one === name ? 0 : -1;
    byId(`view-${one}`).hidden = one !== name;
    if (one === name && focus) tab.focus();
  }
  opened[name]?.();
}
