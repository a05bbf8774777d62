"use strict";
// Filter and sort the list of incidents. The page is whole without it.
(() => {
  const list = document.getElementById("list");
  if (!list) return;
  const body = list.tBodies[0];
  const rows = [...body.rows];
  const find = document.getElementById("find");
  const chips = [...document.querySelectorAll("#chips button")];
  const shown = document.getElementById("shown");
  document.getElementById("tools").hidden = false;

  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const levels = chips.filter((c) => c.getAttribute("aria-pressed") === "true")
      .map((c) => c.dataset.level);
    let many = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const own = row.dataset.level.split(" ");
      const keep = words.every((w) => text.includes(w)) &&
        (!levels.length || levels.some((l) => own.includes(l)));
      row.hidden = !keep;
      many += keep;
    }
    shown.textContent = many === rows.length ? "" : `${many} of ${rows.length} shown`;
  };
  find.addEventListener("input", filter);
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      filter();
    });
  }

  const heads = [...list.querySelectorAll("th[data-key]")];
  const sort = (head) => {
    const up = head.getAttribute("aria-sort") === "descending" ||
      (!head.hasAttribute("aria-sort") && ["vehicle", "type"].includes(head.dataset.key));
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = head.dataset.key;
    const compare = ["vehicle", "type"].includes(key)
      ? (a, b) => a.dataset[key].localeCompare(b.dataset[key], "en", { numeric: true })
      : (a, b) => Number(a.dataset[key]) - Number(b.dataset[key]);
    rows.sort((a, b) => (up ? compare(a, b) : compare(b, a)));
    body.append(...rows);
  };
  for (const head of heads) {
    head.classList.add("sortable");
    head.tabIndex = 0;
    head.addEventListener("click", () => sort(head));
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(head); }
    });
  }
})();
