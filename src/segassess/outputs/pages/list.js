"use strict";
// Of all pages: their data, and a list of which only the rows in view exist. The script of the page follows.
const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
function element(kind, text, className) { const made = document.createElement(kind); if (text !== undefined) made.textContent = text; if (className) made.className = className; return made; }
function number(value, digits) { return value === null ? "–" : value.toFixed(digits); }
function percent(value, digits) { return value === null ? "–" : `${(100 * value).toFixed(digits)} %`; }
function area(squareMetres, pixels) { return squareMetres !== null ? `${squareMetres.toFixed(squareMetres < 1000 ? 1 : 0)} m²` : pixels !== null ? `${pixels.toFixed(0)} px` : "–"; }
// Rows of the data as objects, by their columns; `rank` counts from one.
function records(rows) {
  return rows.map((values, index) => {
    const made = { rank: index + 1 };
    data.columns.forEach((name, at) => { made[name] = values[at]; });
    return made;
  });
}
function summarise(entries) {
  find("summary").replaceChildren(...entries.map(([name, value]) => { const box = element("div"); box.append(element("dt", name), element("dd", value)); return box; }));
}
function tell(rows) {
  find("facts").replaceChildren(...rows.map(([name, value]) => { const line = element("tr"), head = element("th", name); head.scope = "row"; line.append(head, element("td", String(value))); return line; }));
}
// Words of the search, all of which must be in `each.text`, in lower case. A link can bring them: page.html#search=WORDS
function searched() { const words = find("search").value.toLowerCase().split(/\s+/).filter(Boolean); return (each) => words.every((word) => each.text.includes(word)); }
function iouBelow() { const limit = parseFloat(find("iou-filter").value); return (each) => Number.isNaN(limit) || (each.estimated_iou !== null && each.estimated_iou < limit); }
find("search").value = new URLSearchParams(location.hash.slice(1)).get("search") || "";

// `all` have a rank. `heads` are [column, title, class, whether the first click puts the largest first]; `filters` are ids of inputs, of which
// `keeps()` makes a test. `value(each, column)` is sorted by, null last; `cells(each)` are nodes of a row, `label(each)` its words for screen
// readers; `chosen(each)` follows a selection, of null too; `drawn()` each change of what is shown.
function makeList({ all, noun, height, heads, order, filters, keeps, value, cells, label, chosen, drawn }) {
  const box = find("rows"), spacer = find("spacer"), list = { shown: [], current: null, refresh, draw, select, step };
  function refresh() {
    const kept = keeps(), sign = order.up ? 1 : -1;
    list.shown = all.filter((each) => kept(each)).map((each) => [value(each, order.by), each]).sort(([a, one], [b, two]) => {
      if (a === null || b === null) return (a === null) - (b === null) || one.rank - two.rank;
      return (a < b ? -1 : a > b ? 1 : 0) * sign || one.rank - two.rank;
    }).map(([, each]) => each);
    find("shown").textContent = `${list.shown.length} of ${all.length} ${noun}`;
    spacer.style.height = `${list.shown.length * height}px`;
    for (const button of find("heads").querySelectorAll("button")) {
      const by = button.dataset.by === order.by;
      button.setAttribute("aria-pressed", String(by));
      button.setAttribute("aria-label", `Sort by ${button.dataset.title}${by ? (order.up ? ", ascending" : ", descending") : ""}`);
      button.textContent = button.dataset.title + (by ? (order.up ? " ▲" : " ▼") : "");
    }
    draw();
    if (drawn) drawn();
  }
  function draw() {
    const first = Math.max(0, Math.floor(box.scrollTop / height) - 4), last = Math.min(list.shown.length, Math.ceil((box.scrollTop + box.clientHeight) / height) + 4);
    spacer.replaceChildren(...list.shown.slice(first, last).map((each, at) => row(each, first + at)));
    const at = list.shown.indexOf(list.current);
    if (at >= first && at < last) box.setAttribute("aria-activedescendant", "row-" + list.current.rank); else box.removeAttribute("aria-activedescendant");
  }
  function row(each, at) {
    const made = element("div", undefined, "row");
    made.id = "row-" + each.rank;
    made.style.top = `${at * height}px`;
    made.style.height = `${height}px`;
    const attributes = { role: "option", "aria-selected": String(list.current === each), "aria-setsize": list.shown.length, "aria-posinset": at + 1, "aria-label": label(each) };
    for (const [name, text] of Object.entries(attributes)) made.setAttribute(name, text);
    made.append(...cells(each));
    made.addEventListener("click", () => select(each));
    return made;
  }
  function select(each) {
    list.current = each || null;
    const at = list.shown.indexOf(list.current);
    if (at >= 0 && (at * height < box.scrollTop || (at + 1) * height > box.scrollTop + box.clientHeight)) box.scrollTop = at * height - box.clientHeight / 2 + height / 2;
    draw();
    chosen(list.current);
  }
  function step(by) {
    if (!list.shown.length) return;
    const at = list.shown.indexOf(list.current);
    select(list.shown[at < 0 ? 0 : Math.min(list.shown.length - 1, Math.max(0, at + by))]);
  }
  for (const [by, title, className, down] of heads) {
    const head = element("span", undefined, className);
    if (by) {
      const button = element("button", title);
      button.type = "button"; button.dataset.by = by; button.dataset.title = title;
      button.addEventListener("click", () => { order = { by, up: order.by === by ? !order.up : !down }; refresh(); });
      head.append(button);
    }
    find("heads").append(head);
  }
  for (const id of filters) find(id).addEventListener("input", refresh);
  box.addEventListener("scroll", draw);
  addEventListener("resize", draw);
  return list;
}
// `act(key)` says whether the page knows the key.
function listen(list, act) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && !["range", "radio"].includes(event.target.type)) {
      if (event.key !== "Escape") return;
      find("rows").focus();
      event.preventDefault(); // it would clear the search
      return;
    }
    const key = event.key;
    if (key === "j" || key === "ArrowDown") list.step(1);
    else if (key === "k" || key === "ArrowUp") list.step(-1);
    else if (key === "/") find("search").focus();
    else if (!act(key)) return;
    event.preventDefault();
  });
}
