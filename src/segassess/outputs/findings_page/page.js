const SVG = "http://www.w3.org/2000/svg";
const VERDICTS = { 1: "right", 2: "wrong", 3: "unsure", 0: "" };
const COLOURS = { FP: "#d55e00", FN: "#0072b2" };

// Verdicts by id of the finding; kept in this browser where it lets a page keep something.
const STORE = "segassess-findings-" + data.id;
let verdicts = {};
try { verdicts = JSON.parse(localStorage.getItem(STORE) || "{}"); } catch { say("This browser keeps no verdicts; export them before you close the page."); }
function keep() { try { localStorage.setItem(STORE, JSON.stringify(verdicts)); } catch { say("This browser keeps no verdicts; export them before you close the page."); } }

const findings = records(data.findings).map((finding) => {
  const { name, source } = data.masks[finding.mask];
  return Object.assign(finding, { name, source, text: `${name} ${source} ${finding.id} ${finding.feature ?? ""} ${finding.object ?? ""}`.toLowerCase() });
});
const list = makeList({
  all: findings, noun: "findings", height: 60, order: { by: "rank", up: true },
  heads: [["rank", "rank"], ["kind", "kind"], ["quality", "class"], ["area", "area", "number", true], ["p_error", "P(error)", "number", true], ["verdict", "verdict"]],
  filters: ["search", "kind-filter", "quality-filter", "verdict-filter", "p-filter"],
  keeps: () => {
    const found = searched(), least = parseFloat(find("p-filter").value);
    const kind = find("kind-filter").value, quality = find("quality-filter").value, verdict = find("verdict-filter").value;
    return (each) => (!kind || each.kind === kind) && (!quality || each.quality === quality)
      && (!verdict || (verdicts[each.id] || "none") === verdict) && !(each.p_error < least) && found(each);
  },
  value: (each, by) => by === "verdict" ? verdicts[each.id] || "" : by === "area" ? each.area_m2 ?? each.area_px : each[by],
  cells: (finding) => {
    const crop = picture(finding), small = crop ? element("img") : element("span", "", "blank"), where = element("span", `${finding.rank}. ${finding.kind}`, "where");
    if (crop) { small.alt = ""; small.src = source(crop); }
    where.append(element("small", `${finding.name} · ${finding.source}`.slice(0, 200)));
    return [small, where, element("span", finding.quality), element("span", size(finding), "number"), element("span", number(finding.p_error, 2), "number"), element("span", verdicts[finding.id] || "")];
  },
  label: (finding) => `${finding.rank}: ${finding.kind}, ${finding.quality}, ${size(finding)}, P(error) ${number(finding.p_error, 2)}${verdicts[finding.id] ? ", verdict " + verdicts[finding.id] : ""}`,
  chosen: show,
});
let outlined = true;

function say(text) { find("message").textContent = text; }
function drawn(kind, attributes) { const made = document.createElementNS(SVG, kind); for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value); return made; }
function size(finding) { return area(finding.area_m2, finding.area_px); }
function picture(finding) { return data.pictures[finding.picture]; }
function source(file) { return "data:image/jpeg;base64," + file.image; }

function judge(verdict) {
  const { current, shown } = list;
  if (!current) return;
  if (verdict) verdicts[current.id] = verdict; else delete verdicts[current.id];
  keep();
  const at = shown.indexOf(current), following = shown[Math.min(shown.length - 1, at + 1)];
  if (find("verdict-filter").value) list.refresh(); else list.draw();
  count();
  if (verdict && following) list.select(list.shown.includes(following) ? following : list.shown[Math.min(at, list.shown.length - 1)]); else show(current);
}
function count() {
  const said = findings.map((each) => verdicts[each.id]).filter(Boolean);
  const of = (verdict) => said.filter((each) => each === verdict).length;
  find("done").textContent = `${said.length} of ${findings.length} reviewed: ${of("right")} right, ${of("wrong")} wrong, ${of("unsure")} unsure`;
}

function show(current) {
  for (const button of find("verdicts").querySelectorAll("[data-verdict]")) if (button.dataset.verdict) button.setAttribute("aria-pressed", String(Boolean(current) && verdicts[current.id] === button.dataset.verdict));
  for (const id of ["facts", "links", "crop", "overview"]) find(id).replaceChildren();
  if (!current) { find("title").textContent = "Select a finding"; return; }
  find("title").textContent = `${current.rank}. ${current.kind}, ${current.quality} · ${current.name} · ${current.source}`;
  const of = current.feature !== null ? [["Feature of the layer", current.feature]] : current.object !== null ? [["Object", current.object]] : [];
  const place = current.lat === null ? [] : [["Latitude, longitude", `${current.lat.toFixed(6)}, ${current.lon.toFixed(6)}`]];
  tell([["P(error)", number(current.p_error, 2)], ["Area", size(current)], ["Expected wrong pixels", number(current.wrong_px, 0)], ...of,
    ["Columns, rows", `${Math.floor(current.left)}–${Math.ceil(current.right)}, ${Math.floor(current.top)}–${Math.ceil(current.bottom)}`], ...place, ["Id", current.id], ["Verdict", verdicts[current.id] || "–"]]);
  link(current);
  crop(current);
  overview(current);
}
function link(current) {
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
function crop(current) {
  const file = picture(current);
  if (!file) { find("crop").append(element("p", "This finding has no picture in the page; open it in a GIS or an editor.", "blank-note")); return; }
  const image = element("img"), over = drawn("svg", { viewBox: `0 0 ${file.width} ${file.height}`, "aria-hidden": "true" });
  image.src = source(file);
  image.alt = `The image around the finding, ${current.kind}`;
  const line = { d: file.outline, fill: "none", "fill-rule": "evenodd", "vector-effect": "non-scaling-stroke" };
  if (outlined) over.append(drawn("path", { ...line, stroke: "#fff", "stroke-width": 4 }), drawn("path", { ...line, stroke: COLOURS[current.quality], "stroke-width": 2 }));
  find("crop").append(image, over);
}
function overview(current) {
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
const kinds = new Map();
for (const each of findings) kinds.set(each.kind, (kinds.get(each.kind) || 0) + 1);
find("kind-filter").append(new Option("all", ""), ...[...kinds].map(([kind, times]) => new Option(`${kind} (${times})`, kind)));
for (const button of find("verdicts").querySelectorAll("[data-verdict]")) button.addEventListener("click", () => judge(button.dataset.verdict));
find("next").addEventListener("click", () => list.step(1));
find("previous").addEventListener("click", () => list.step(-1));
find("export").addEventListener("click", download);
listen(list, (key) => {
  if (key in VERDICTS) judge(VERDICTS[key]);
  else if (key === "x") download();
  else if (key === "o") { outlined = !outlined; show(list.current); }
  else return false;
  return true;
});
count();
list.refresh();
list.select(list.shown[0]);
