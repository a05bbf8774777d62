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

  // On a phone the heads of the columns are not seen, and the list keeps its order.
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
  for (const head of matchMedia("(max-width: 800px)").matches ? [] : heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sorter";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head));
    head.append(button);
  }
})();
// Place the meaning of a word beside the word, and show it when the mouse rests on the word.
(() => {
  let asked;
  const open = (tip) => tip.matches(":popover-open");
  for (const button of document.querySelectorAll("button.term")) {
    const tip = document.getElementById(button.getAttribute("popovertarget"));
    let wait;
    for (const name of ["pointerenter", "focus", "click"]) {
      button.addEventListener(name, () => { if (!open(tip)) asked = button; });
    }
    button.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "mouse") return;
      wait = setTimeout(() => { if (!open(tip)) tip.showPopover(); }, 350);
    });
    button.addEventListener("pointerleave", () => clearTimeout(wait));
  }
  for (const tip of document.querySelectorAll(".tip")) {
    tip.addEventListener("toggle", (event) => {
      if (event.newState !== "open" || !asked) return;
      const word = asked.getBoundingClientRect();
      const room = document.documentElement.clientWidth;
      const left = Math.max(12, Math.min(word.left, room - tip.offsetWidth - 12));
      const below = word.bottom + tip.offsetHeight + 12 < innerHeight;
      const top = scrollY + (below ? word.bottom + 6 : word.top - tip.offsetHeight - 6);
      Object.assign(tip.style, {
        position: "absolute", inset: "auto", left: `${left}px`, top: `${top}px`,
      });
    });
  }
})();
// Gather what is said of the incidents into a file to save. Nothing is sent.
(() => {
  const save = document.getElementById("saved");
  if (!save) return;
  const forms = [...document.querySelectorAll("fieldset.judge")];
  const cell = (text) => `"${text.replaceAll('"', '""').replace(/\s+/g, " ").trim()}"`;
  const gather = () => {
    const lines = [];
    for (const form of forms) {
      const verdict = form.querySelector("input[type=radio]:checked");
      const why = form.querySelector("input[type=text]").value;
      if (verdict) lines.push(`${form.dataset.incident},${verdict.value},${cell(why)}`);
    }
    const text = ["incident,verdict,note", ...lines, ""].join("\n");
    save.href = `data:text/csv;charset=utf-8,${encodeURIComponent(text)}`;
    document.getElementById("judged").textContent = lines.length
      ? `${lines.length} verdict${lines.length > 1 ? "s" : ""}` : "no verdict yet";
  };
  for (const form of forms) {
    form.hidden = false;
    form.addEventListener("input", gather);
  }
  document.getElementById("save").hidden = false;
  gather();
})();
