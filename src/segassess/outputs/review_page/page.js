"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const ROW = 72;
const MODES = [["image", "image"], ["mask", "mask"], ["quality", "quality map"], ["error", "error probability"], ["refined", "refined mask"]];
const KEYS = { i: "image", m: "mask", q: "quality", e: "error", r: "refined" };
const NUMBERS = ["estimated_iou", "error_share", "error_area_px"];

// Verdicts by tile; kept in this browser where it lets a page keep something.
const STORE = "segassess-review-" + data.id;
let verdicts = {};
try { verdicts = JSON.parse(localStorage.getItem(STORE) || "{}"); } catch { say("This browser keeps no verdicts; export them before you close the page."); }
function keep() { try { localStorage.setItem(STORE, JSON.stringify(verdicts)); } catch { say("This browser keeps no verdicts; export them before you close the page."); } }

const tiles = data.tiles.map((values, index) => {
  const tile = Object.fromEntries(data.columns.map((name, at) => [name, values[at]]));
  const mask = data.masks[tile.mask];
  return { ...tile, index, name: mask.name, source: mask.source, key: [mask.name, mask.source, tile.tile].join("\n"), text: `${mask.name} ${mask.source} ${tile.tile}`.toLowerCase() };
});
let order = { by: "error_area_px", up: false };
let shown = [];
let current = null;

function say(text) { find("message").textContent = text; }
function number(value, digits) { return value === null ? "–" : value.toFixed(digits); }
function area(tile) { return tile.error_area_m2 === null ? `${number(tile.error_area_px, 0)} px` : `${number(tile.error_area_m2, 1)} m²`; }
function element(kind, text, className) { const made = document.createElement(kind); if (text !== undefined) made.textContent = text; if (className) made.className = className; return made; }

// The list: only the rows in view exist.
function refresh() {
  const words = find("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const mask = find("mask-filter").value, verdict = find("verdict-filter").value, limit = parseFloat(find("iou-filter").value);
  shown = tiles.filter((tile) => words.every((word) => tile.text.includes(word))
    && (mask === "" || tile.mask === Number(mask))
    && (verdict === "" || (verdicts[tile.key] || "none") === verdict)
    && (Number.isNaN(limit) || (tile.estimated_iou !== null && tile.estimated_iou < limit)));
  const sign = order.up ? 1 : -1;
  const value = (tile) => order.by === "verdict" ? verdicts[tile.key] || "" : order.by === "where" ? tile.text : tile[order.by];
  shown.sort((one, two) => {
    const a = value(one), b = value(two);
    if (a === null || b === null) return (a === null) - (b === null);
    return (a < b ? -1 : a > b ? 1 : 0) * sign || one.index - two.index;
  });
  find("shown").textContent = `${shown.length} of ${tiles.length} tiles`;
  find("spacer").style.height = `${shown.length * ROW}px`;
  for (const button of find("heads").querySelectorAll("button")) {
    const by = button.dataset.by === order.by;
    button.setAttribute("aria-sort", by ? (order.up ? "ascending" : "descending") : "none");
    button.textContent = button.dataset.title + (by ? (order.up ? " ▲" : " ▼") : "");
  }
  draw();
}
function draw() {
  const box = find("rows"), spacer = find("spacer");
  const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 4), last = Math.min(shown.length, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + 4);
  spacer.replaceChildren(...shown.slice(first, last).map((tile, at) => row(tile, first + at)));
}
function row(tile, at) {
  const made = element("div", undefined, "row");
  made.style.top = `${at * ROW}px`;
  made.setAttribute("role", "option");
  made.setAttribute("aria-selected", String(current === tile));
  const picture = data.pictures[tile.picture];
  if (picture) { const thumb = element("img"); thumb.alt = ""; thumb.loading = "lazy"; thumb.src = "data:image/jpeg;base64," + picture.thumb; made.append(thumb); }
  else made.append(element("span", "", "blank"));
  const where = element("span", tile.name, "where");
  where.append(element("small", `${tile.source} · ${tile.tile}`));
  made.append(where, element("span", number(tile.estimated_iou, 3), "number"), element("span", number(tile.error_share === null ? null : 100 * tile.error_share, 1) + " %", "number"),
    element("span", area(tile), "number"), element("span", verdicts[tile.key] || "", "verdict"));
  made.addEventListener("click", () => select(tile));
  return made;
}
function select(tile) {
  current = tile || null;
  if (current) {
    const at = shown.indexOf(current), box = find("rows");
    if (at >= 0 && (at * ROW < box.scrollTop || (at + 1) * ROW > box.scrollTop + box.clientHeight)) box.scrollTop = at * ROW - box.clientHeight / 2 + ROW / 2;
  }
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
  if (verdict) verdicts[current.key] = verdict; else delete verdicts[current.key];
  keep();
  const at = shown.indexOf(current), following = shown[Math.min(shown.length - 1, at + 1)];
  if (find("verdict-filter").value) refresh(); else draw();
  summarise();
  if (verdict && following) select(shown.includes(following) ? following : shown[Math.min(at, shown.length - 1)]); else show();
}

// The viewer: layers are made from a photo, the quality codes and the error steps of a tile.
let layers = null, loading = 0;
async function decode(type, text) {
  const response = await createImageBitmap(new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type }), { colorSpaceConversion: "none" });
  return response;
}
function values(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height), context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return { width: bitmap.width, height: bitmap.height, red: context.getImageData(0, 0, bitmap.width, bitmap.height).data };
}
function overlay(plane, colour) {
  const canvas = new OffscreenCanvas(plane.width, plane.height), context = canvas.getContext("2d"), pixels = context.createImageData(plane.width, plane.height);
  for (let at = 0; at < plane.width * plane.height; at++) {
    const chosen = colour(plane.red[4 * at]);
    if (chosen) pixels.data.set(chosen, 4 * at);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}
async function load(tile) {
  const mine = ++loading, picture = data.pictures[tile.picture];
  layers = null;
  if (!picture) { paint(); return; }
  const [photo, codes, error] = await Promise.all([decode("image/jpeg", picture.image), decode("image/png", picture.codes), decode("image/png", picture.error)]);
  if (mine !== loading) return;
  const of = values(codes), steps = values(error), yellow = [240, 228, 66, 150], white = [255, 255, 255, 150];
  // Codes and steps are stored as grey values, codes times 50.
  const code = (grey) => grey === 255 ? 255 : Math.round(grey / 50);
  layers = {
    photo,
    image: null,
    mask: overlay(of, (grey) => code(grey) === 0 || code(grey) === 1 ? yellow : null),
    quality: overlay(of, (grey) => { const known = data.classes[code(grey)]; return known && known.colour[3] ? [...known.colour.slice(0, 3), code(grey) === 0 ? 110 : 220] : null; }),
    refined: overlay(of, (grey) => code(grey) === 0 || code(grey) === 3 ? white : null),
    error: overlay(steps, (grey) => grey === 255 ? null : [...data.scale[Math.round(grey * 255 / 250)], 255]),
  };
  paint();
}
function paint() {
  const canvas = find("canvas"), context = canvas.getContext("2d");
  canvas.hidden = !layers;
  find("no-picture").hidden = Boolean(layers) || !current;
  if (!layers) return;
  const { width, height } = layers.photo, scale = 640 / Math.max(width, height);
  canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
  const at = Number(find("slider").value) / 100, fade = document.querySelector("input[name=how]:checked").value === "fade";
  context.imageSmoothingEnabled = false;
  side(context, find("left").value, 1, 0, canvas.width);
  if (fade) side(context, find("right").value, at, 0, canvas.width);
  else {
    side(context, find("right").value, 1, Math.round(at * canvas.width), canvas.width);
    context.fillStyle = "#fff"; context.fillRect(Math.round(at * canvas.width) - 1, 0, 3, canvas.height);
    context.fillStyle = "#212529"; context.fillRect(Math.round(at * canvas.width), 0, 1, canvas.height);
  }
  function side(on, mode, alpha, from, to) {
    on.save();
    on.beginPath(); on.rect(from, 0, to - from, canvas.height); on.clip();
    on.globalAlpha = alpha;
    on.drawImage(layers.photo, 0, 0, canvas.width, canvas.height);
    if (layers[mode]) on.drawImage(layers[mode], 0, 0, canvas.width, canvas.height);
    on.restore();
  }
}
function show() {
  const facts = find("facts");
  facts.replaceChildren();
  for (const button of find("verdicts").querySelectorAll("[data-verdict]")) button.setAttribute("aria-pressed", String(Boolean(current) && button.dataset.verdict !== "" && verdicts[current.key] === button.dataset.verdict));
  if (!current) { find("tile-title").textContent = "Select a tile"; layers = null; paint(); return; }
  find("tile-title").textContent = `${current.name} · ${current.source} · ${current.tile}`;
  const rows = [["Estimated IoU", number(current.estimated_iou, 3)], ["Expected share of wrong pixels", number(current.error_share === null ? null : 100 * current.error_share, 2) + " %"],
    ["Expected wrong area", area(current)], ["Columns, rows", `${current.left}–${current.right}, ${current.top}–${current.bottom}`], ["Centre", coordinates(current)], ["Verdict", verdicts[current.key] || "–"]];
  for (const [name, value] of rows) { const line = element("tr"); line.append(element("th", name), element("td", value)); facts.append(line); }
  load(current);
}
function coordinates(tile) {
  const crs = data.masks[tile.mask].crs;
  if (tile.lat !== null) return `${tile.lat.toFixed(6)}, ${tile.lon.toFixed(6)} (latitude, longitude)`;
  return `${tile.x}, ${tile.y} (${crs || "pixels"})`;
}
async function copy() {
  if (!current) return;
  const text = current.lat !== null ? `${current.lat.toFixed(6)}, ${current.lon.toFixed(6)}` : `${current.x}, ${current.y}`;
  try { await navigator.clipboard.writeText(text); }
  catch {
    const field = element("textarea", text);
    document.body.append(field); field.select(); document.execCommand("copy"); field.remove();
  }
  say(`Copied ${text}`);
}
function csv() {
  const columns = ["name", "source", "tile", "x", "y", "lon", "lat", "estimated_iou", "error_share", "error_area_px", "error_area_m2"];
  const cell = (value) => {
    let text = value === null || value === undefined ? "" : String(value);
    // A spreadsheet would run what starts like a formula.
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = "'" + text;
    return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  const lines = tiles.filter((tile) => verdicts[tile.key]).map((tile) => [...columns.map((name) => tile[name]), verdicts[tile.key]].map(cell).join(","));
  return [[...columns, "verdict"].join(","), ...lines].join("\r\n") + "\r\n";
}
function download() {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "verdicts.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  say(`${Object.keys(verdicts).length} verdicts exported`);
}
function summarise() {
  const reviewed = tiles.filter((tile) => verdicts[tile.key]).length;
  const entries = [...data.summary, ["tiles reviewed", `${reviewed} of ${tiles.length}`]];
  find("summary").replaceChildren(...entries.map(([name, value]) => { const box = element("div"); box.append(element("dt", name), element("dd", value)); return box; }));
}

// Set up.
find("about").textContent = data.about;
for (const [by, title, className] of [["", "", ""], ["where", "where", ""], ["estimated_iou", "est. IoU", "number"], ["error_share", "est. wrong", "number"], ["error_area_px", "est. area", "number"], ["verdict", "verdict", ""]]) {
  const head = element("span", undefined, className);
  if (by) {
    const button = element("button", title);
    button.dataset.by = by; button.dataset.title = title;
    button.addEventListener("click", () => { order = { by, up: order.by === by ? !order.up : !["error_share", "error_area_px"].includes(by) }; refresh(); });
    head.append(button);
  }
  find("heads").append(head);
}
find("mask-filter").append(new Option("all", ""), ...data.masks.map((mask, index) => new Option(`${mask.name} · ${mask.source}`, String(index))));
for (const [id, chosen] of [["left", "image"], ["right", "quality"]]) find(id).append(...MODES.map(([value, title]) => new Option(title, value, false, value === chosen)));
for (const known of data.classes) { const item = element("li"); const swatch = element("span"); swatch.style.background = `rgba(${known.colour.join(",")})`; item.append(swatch, `${known.name} ${known.label}`); find("legend").append(item); }
{ const item = element("li"), scale = element("span", undefined, "scale"); scale.style.background = `linear-gradient(90deg, ${[0, 32, 64, 96, 128, 160, 192, 224, 255].map((at) => `rgb(${data.scale[at].join(",")})`).join(",")})`; item.append("P(error) 0 ", scale, "1"); find("legend").append(item); }
for (const id of ["search", "mask-filter", "verdict-filter", "iou-filter"]) find(id).addEventListener("input", refresh);
for (const id of ["left", "right", "slider"]) find(id).addEventListener("input", paint);
for (const radio of document.querySelectorAll("input[name=how]")) radio.addEventListener("change", paint);
for (const button of find("verdicts").querySelectorAll("[data-verdict]")) button.addEventListener("click", () => judge(button.dataset.verdict));
find("next").addEventListener("click", () => step(1));
find("previous").addEventListener("click", () => step(-1));
find("copy").addEventListener("click", copy);
find("export").addEventListener("click", download);
find("rows").addEventListener("scroll", draw);
addEventListener("resize", draw);
find("canvas").addEventListener("pointermove", (event) => { if (event.buttons || event.pointerType === "mouse") { const box = event.currentTarget.getBoundingClientRect(); find("slider").value = String(100 * (event.clientX - box.left) / box.width); paint(); } });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "range" && event.target.type !== "radio") return;
  const key = event.key;
  if (key === "j" || key === "ArrowDown") step(1);
  else if (key === "k" || key === "ArrowUp") step(-1);
  else if (key === "1" || key === "2" || key === "3") judge(["right", "wrong", "unsure"][Number(key) - 1]);
  else if (key === "0") judge("");
  else if (key === "c") copy();
  else if (KEYS[key]) { find("right").value = KEYS[key]; paint(); }
  else return;
  event.preventDefault();
});
summarise();
refresh();
select(shown[0]);
