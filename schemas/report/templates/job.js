"use strict";
(() => {
  document.documentElement.classList.add("js");
  const table = document.querySelector(".samples");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const byId = (id) => document.getElementById(id);
  const [find, sort, flagged, shown] = ["find", "sort", "flagged", "shown"].map(byId);
  const heads = [...table.querySelectorAll("th[data-key]")];
  const picks = [...document.querySelectorAll(".legend button")];
  document.querySelector(".tools").hidden = false;
  document.querySelector(".tools").addEventListener("submit", (event) => event.preventDefault());
  let order = { key: "", down: false };
  let picked = null;

  const share = (row) => {
    const counts = row.dataset.types ? row.dataset.types.split(" ").map(Number) : [];
    return counts.length ? counts[picked] / counts.reduce((sum, one) => sum + one, 0) : NaN;
  };
  const value = (row) => (picked !== null ? share(row) : order.key === "name" ? row.dataset.name : row.dataset[order.key] === "" ? NaN : Number(row.dataset[order.key]));
  // Samples without a value stay last, whatever the direction.
  const compare = (a, b) => {
    const [one, other] = [value(a), value(b)];
    if (typeof one === "string") return one.localeCompare(other, "en", { numeric: true }) * (order.down ? -1 : 1);
    if (isNaN(one) || isNaN(other)) return isNaN(one) - isNaN(other);
    return (one - other) * (order.down || picked !== null ? -1 : 1);
  };
  const update = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => row.dataset.words.includes(word)) || (flagged.checked && !("flagged" in row.dataset));
      n += !row.hidden;
    }
    body.append(...(order.key || picked !== null ? [...rows].sort(compare) : rows));
    for (const head of heads) {
      if (picked === null && head.dataset.key === order.key) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    shown.textContent = n + " of " + rows.length + (rows.length === 1 ? " sample" : " samples");
  };
  const pick = (button) => {
    picked = button && button.getAttribute("aria-pressed") !== "true" ? Number(button.dataset.type) : null;
    for (const other of picks) other.setAttribute("aria-pressed", String(picked !== null && other === button));
    table.classList.toggle("picked", picked !== null);
    for (const mark of table.querySelectorAll("rect.on")) mark.classList.remove("on");
    if (picked !== null) for (const mark of table.querySelectorAll(".comp rect.t" + picked)) mark.classList.add("on");
    update();
  };
  const by = (key, down) => {
    order = { key, down };
    pick(null);
    const wanted = key + (down ? ":down" : "");
    sort.value = [...sort.options].some((one) => one.value === wanted) ? wanted : "";
  };
  for (const head of heads) {
    head.querySelector("button").addEventListener("click", () => by(head.dataset.key, order.key === head.dataset.key && !order.down));
  }
  sort.addEventListener("change", () => by(sort.value.split(":")[0], sort.value.endsWith(":down")));
  for (const button of picks) button.addEventListener("click", () => pick(button));
  find.addEventListener("input", update);
  flagged.addEventListener("change", update);
  // A link to a sample must find it, whatever the table shows at the moment.
  addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest('a[href^="#sample-"]');
    const row = link && byId(link.hash.slice(1));
    if (!row || !row.hidden) return;
    find.value = "";
    flagged.checked = false;
    update();
  });
  addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
  update();
})();
