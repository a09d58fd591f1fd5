"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const ROW = 60, SVG = "http://www.w3.org/2000/svg";
const VERDICTS = { 1: "right", 2: "wrong", 3: "unsure", 0: "" };
const COLOURS = { FP: "#d55e00", FN: "#0072b2" };

// Verdicts by id of the finding; kept in this browser where it lets a page keep something.
const STORE = "segassess-findings-" + data.id;
let verdicts = {};
try { verdicts = JSON.parse(localStorage.getItem(STORE) || "{}"); } catch { say("This browser keeps no verdicts; export them before you close the page."); }
function keep() { try { localStorage.setItem(STORE, JSON.stringify(verdicts)); } catch { say("This browser keeps no verdicts; export them before you close the page."); } }

const findings = data.findings.map((values, index) => {
  const finding = { rank: index + 1 };
  data.columns.forEach((name, at) => { finding[name] = values[at]; });
  const mask = data.masks[finding.mask];
  finding.name = mask.name; finding.source = mask.source;
  finding.text = `${mask.name} ${mask.source} ${finding.id} ${finding.feature ?? ""} ${finding.object ?? ""}`.toLowerCase();
  return finding;
});
let order = { by: "rank", up: true }, shown = [], current = null, outlined = true;

function say(text) { find("message").textContent = text; }
function element(kind, text, className) { const made = document.createElement(kind); if (text !== undefined) made.textContent = text; if (className) made.className = className; return made; }
function drawn(kind, attributes) { const made = document.createElementNS(SVG, kind); for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value); return made; }
function number(value, digits) { return value === null ? "–" : value.toFixed(digits); }
function area(finding) { return finding.area_m2 === null ? `${finding.area_px} px` : `${finding.area_m2.toFixed(1)} m²`; }
function picture(finding) { return data.pictures[finding.picture]; }
function source(file) { return "data:image/jpeg;base64," + file.image; }

// The list: only the rows in view exist.
function refresh() {
  const words = find("search").value.toLowerCase().split(/\s+/).filter(Boolean), least = parseFloat(find("p-filter").value);
  const kind = find("kind-filter").value, quality = find("quality-filter").value, verdict = find("verdict-filter").value;
  shown = findings.filter((each) => (!kind || each.kind === kind) && (!quality || each.quality === quality)
    && (!verdict || (verdicts[each.id] || "none") === verdict) && !(each.p_error < least) && words.every((word) => each.text.includes(word)));
  const sign = order.up ? 1 : -1;
  const value = (each) => order.by === "verdict" ? verdicts[each.id] || "" : order.by === "area" ? each.area_m2 ?? each.area_px : each[order.by];
  shown.sort((one, two) => { const a = value(one), b = value(two); return (a < b ? -1 : a > b ? 1 : 0) * sign || one.rank - two.rank; });
  find("shown").textContent = `${shown.length} of ${findings.length} findings`;
  find("spacer").style.height = `${shown.length * ROW}px`;
  for (const button of find("heads").querySelectorAll("button")) {
    const by = button.dataset.by === order.by;
    button.setAttribute("aria-pressed", String(by));
    button.setAttribute("aria-label", `Sort by ${button.dataset.title}${by ? (order.up ? ", ascending" : ", descending") : ""}`);
    button.textContent = button.dataset.title + (by ? (order.up ? " ▲" : " ▼") : "");
  }
  draw();
}
function draw() {
  const box = find("rows");
  const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 4), last = Math.min(shown.length, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + 4);
  find("spacer").replaceChildren(...shown.slice(first, last).map((each, at) => row(each, first + at)));
  const at = shown.indexOf(current);
  if (at >= first && at < last) box.setAttribute("aria-activedescendant", "row-" + current.rank); else box.removeAttribute("aria-activedescendant");
}
function row(finding, at) {
  const made = element("div", undefined, "row"), said = verdicts[finding.id] || "";
  made.id = "row-" + finding.rank;
  made.style.top = `${at * ROW}px`;
  const attributes = { role: "option", "aria-selected": String(current === finding), "aria-setsize": shown.length, "aria-posinset": at + 1,
    "aria-label": `${finding.rank}: ${finding.kind}, ${finding.quality}, ${area(finding)}, P(error) ${number(finding.p_error, 2)}${said ? ", verdict " + said : ""}` };
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  const crop = picture(finding);
  if (crop) { const small = element("img"); small.alt = ""; small.src = source(crop); made.append(small); } else made.append(element("span", "", "blank"));
  const where = element("span", `${finding.rank}. ${finding.kind}`, "where");
  where.append(element("small", `${finding.name} · ${finding.source}`.slice(0, 200)));
  made.append(where, element("span", finding.quality), element("span", area(finding), "number"), element("span", number(finding.p_error, 2), "number"), element("span", said));
  made.addEventListener("click", () => select(finding));
  return made;
}
function select(finding) {
  current = finding || null;
  const at = shown.indexOf(current), box = find("rows");
  if (at >= 0 && (at * ROW < box.scrollTop || (at + 1) * ROW > box.scrollTop + box.clientHeight)) box.scrollTop = at * ROW - box.clientHeight / 2 + ROW / 2;
  draw();
  show();
}
function step(by) {
  if (!shown.length) return;
  const at = shown.indexOf(current);
  select(shown[at < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, at + by))]);
}
function judge(verdict) {
  if (!current) return;
  if (verdict) verdicts[current.id] = verdict; else delete verdicts[current.id];
  keep();
  const at = shown.indexOf(current), following = shown[Math.min(shown.length - 1, at + 1)];
  if (find("verdict-filter").value) refresh(); else draw();
  count();
  if (verdict && following) select(shown.includes(following) ? following : shown[Math.min(at, shown.length - 1)]); else show();
}
function count() {
  const said = findings.map((each) => verdicts[each.id]).filter(Boolean);
  const of = (verdict) => said.filter((each) => each === verdict).length;
  find("done").textContent = `${said.length} of ${findings.length} reviewed: ${of("right")} right, ${of("wrong")} wrong, ${of("unsure")} unsure`;
}

function show() {
  for (const button of find("verdicts").querySelectorAll("[data-verdict]")) if (button.dataset.verdict) button.setAttribute("aria-pressed", String(Boolean(current) && verdicts[current.id] === button.dataset.verdict));
  for (const id of ["facts", "links", "crop", "overview"]) find(id).replaceChildren();
  if (!current) { find("title").textContent = "Select a finding"; return; }
  find("title").textContent = `${current.rank}. ${current.kind}, ${current.quality} · ${current.name} · ${current.source}`;
  const of = current.feature !== null ? [["Feature of the layer", current.feature]] : current.object !== null ? [["Object", current.object]] : [];
  const place = current.lat === null ? [] : [["Latitude, longitude", `${current.lat.toFixed(6)}, ${current.lon.toFixed(6)}`]];
  const rows = [["P(error)", number(current.p_error, 2)], ["Area", area(current)], ["Expected wrong pixels", number(current.wrong_px, 0)], ...of,
    ["Columns, rows", `${Math.floor(current.left)}–${Math.ceil(current.right)}, ${Math.floor(current.top)}–${Math.ceil(current.bottom)}`], ...place, ["Id", current.id], ["Verdict", verdicts[current.id] || "–"]];
  for (const [name, value] of rows) { const line = element("tr"), head = element("th", name); head.scope = "row"; line.append(head, element("td", String(value))); find("facts").append(line); }
  link();
  crop();
  overview();
}
function link() {
  if (current.lat === null) return;
  // About 20 m around the finding.
  const by = 0.0002, sides = { left: current.west - by, right: current.east + by, top: current.north + by, bottom: current.south - by };
  const query = Object.entries(sides).map(([name, value]) => `${name}=${value.toFixed(6)}`).join("&");
  for (const [title, address] of [["Open in JOSM", `http://127.0.0.1:8111/load_and_zoom?${query}`], ["Open in iD", `https://www.openstreetmap.org/edit?editor=id#map=20/${current.lat}/${current.lon}`]]) {
    const made = element("a", title);
    made.href = address; made.target = "_blank"; made.rel = "noopener noreferrer";
    find("links").append(made);
  }
}
function crop() {
  const file = picture(current);
  if (!file) { find("crop").append(element("p", "This finding has no picture in the page; open it in a GIS or an editor.", "blank-note")); return; }
  const image = element("img"), over = drawn("svg", { viewBox: `0 0 ${file.width} ${file.height}`, "aria-hidden": "true" });
  image.src = source(file);
  image.alt = `The image around the finding, ${current.kind}`;
  const line = { d: file.outline, fill: "none", "fill-rule": "evenodd", "vector-effect": "non-scaling-stroke" };
  if (outlined) over.append(drawn("path", { ...line, stroke: "#fff", "stroke-width": 4 }), drawn("path", { ...line, stroke: COLOURS[current.quality], "stroke-width": 2 }));
  find("crop").append(image, over);
}
function overview() {
  const file = data.overviews[current.mask];
  if (!file) { find("overview").append(element("p", "There is no overview of this mask.", "blank-note")); return; }
  const image = element("img"), over = drawn("svg", { viewBox: `0 0 ${file.width} ${file.height}`, "aria-hidden": "true" });
  image.src = source(file);
  const x = (current.left + current.right) / 2, y = (current.top + current.bottom) / 2;
  image.alt = `The scene; the finding lies ${Math.round(100 * x / file.width)} % from the left and ${Math.round(100 * y / file.height)} % from the top`;
  const circle = { cx: x, cy: y, r: Math.max(file.width, file.height) / 40, fill: "none", "vector-effect": "non-scaling-stroke" };
  over.append(drawn("circle", { ...circle, stroke: "#fff", "stroke-width": 5 }), drawn("circle", { ...circle, stroke: "#cc0000", "stroke-width": 2.5 }));
  find("overview").append(image, over);
}

function csv() {
  const columns = ["id", "verdict", "kind", "feature", "object", "p_error", "area_m2", "lon", "lat", "name", "source"];
  const cell = (value) => {
    let text = value === null || value === undefined ? "" : String(value);
    // A spreadsheet would run what starts like a formula, and a row is a line.
    if (typeof value === "string") { text = text.replace(/[\u0000-\u001f\u0085\u2028\u2029]+/g, " "); if (/^\s*[=+\-@]/.test(text)) text = "'" + text; }
    return /[",]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  const lines = findings.filter((each) => verdicts[each.id]).map((each) => columns.map((name) => cell(name === "verdict" ? verdicts[each.id] : each[name])).join(","));
  return [columns.join(","), ...lines].join("\r\n") + "\r\n";
}
function download() {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "answers.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  say(`${findings.filter((each) => verdicts[each.id]).length} verdicts exported`);
}

// Set up.
for (const [by, title, className] of [["rank", "rank", ""], ["kind", "kind", ""], ["quality", "class", ""], ["area", "area", "number"], ["p_error", "P(error)", "number"], ["verdict", "verdict", ""]]) {
  const head = element("span", undefined, className), button = element("button", title);
  button.type = "button"; button.dataset.by = by; button.dataset.title = title;
  button.addEventListener("click", () => { order = { by, up: order.by === by ? !order.up : !["area", "p_error"].includes(by) }; refresh(); });
  head.append(button);
  find("heads").append(head);
}
const kinds = new Map();
for (const each of findings) kinds.set(each.kind, (kinds.get(each.kind) || 0) + 1);
find("kind-filter").append(new Option("all", ""), ...[...kinds].map(([kind, times]) => new Option(`${kind} (${times})`, kind)));
for (const id of ["search", "kind-filter", "quality-filter", "verdict-filter", "p-filter"]) find(id).addEventListener("input", refresh);
for (const button of find("verdicts").querySelectorAll("[data-verdict]")) button.addEventListener("click", () => judge(button.dataset.verdict));
find("next").addEventListener("click", () => step(1));
find("previous").addEventListener("click", () => step(-1));
find("export").addEventListener("click", download);
find("rows").addEventListener("scroll", draw);
addEventListener("resize", draw);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const key = event.key;
  if (key === "j" || key === "ArrowDown") step(1);
  else if (key === "k" || key === "ArrowUp") step(-1);
  else if (key in VERDICTS) judge(VERDICTS[key]);
  else if (key === "x") download();
  else if (key === "o") { outlined = !outlined; show(); }
  else if (key === "/") find("search").focus();
  else return;
  event.preventDefault();
});
count();
refresh();
select(shown[0]);
