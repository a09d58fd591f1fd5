const MODES = [["image", "image"], ["mask", "mask"], ["quality", "quality map"], ["error", "error probability"], ["refined", "refined mask"]];
const KEYS = { i: "image", m: "mask", q: "quality", e: "error", r: "refined" };

// Verdicts by tile; kept in this browser where it lets a page keep something.
const STORE = "segassess-review-" + data.id;
let verdicts = {};
try { verdicts = JSON.parse(localStorage.getItem(STORE) || "{}"); } catch { say("This browser keeps no verdicts; export them before you close the page."); }
function keep() { try { localStorage.setItem(STORE, JSON.stringify(verdicts)); } catch { say("This browser keeps no verdicts; export them before you close the page."); } }

const tiles = records(data.tiles).map((tile) => {
  const { name, source } = data.masks[tile.mask];
  return Object.assign(tile, { name, source, key: [name, source, tile.tile].join("\n"), text: `${name} ${source} ${tile.tile}`.toLowerCase() });
});
const list = makeList({
  all: tiles, noun: "tiles", height: 72, order: { by: "error_area_px", up: false },
  heads: [["", ""], ["where", "where"], ["estimated_iou", "est. IoU", "number"], ["error_share", "est. wrong", "number", true], ["error_area_px", "est. area", "number", true], ["verdict", "verdict"]],
  filters: ["search", "mask-filter", "verdict-filter", "iou-filter"],
  keeps: () => {
    const found = searched(), mask = find("mask-filter").value, verdict = find("verdict-filter").value, below = iouBelow();
    return (tile) => found(tile) && (mask === "" || tile.mask === Number(mask)) && (verdict === "" || (verdicts[tile.key] || "none") === verdict) && below(tile);
  },
  value: (tile, by) => by === "verdict" ? verdicts[tile.key] || "" : by === "where" ? tile.text : tile[by],
  cells: (tile) => {
    const picture = data.pictures[tile.picture], where = element("span", tile.name, "where");
    const thumb = picture ? element("img") : element("span", "", "blank");
    if (picture) { thumb.alt = ""; thumb.loading = "lazy"; thumb.src = "data:image/jpeg;base64," + picture.thumb; }
    where.append(element("small", `${tile.source} · ${tile.tile}`));
    return [thumb, where, element("span", number(tile.estimated_iou, 3), "number"), element("span", percent(tile.error_share, 1), "number"),
      element("span", expected(tile), "number"), element("span", verdicts[tile.key] || "", "verdict")];
  },
  label: (tile) => `${tile.rank}: ${tile.name}, ${tile.source}, ${tile.tile}, estimated IoU ${number(tile.estimated_iou, 3)}, ${expected(tile)} wrong${verdicts[tile.key] ? ", verdict " + verdicts[tile.key] : ""}`,
  chosen: show,
});

function say(text) { find("message").textContent = text; }
function expected(tile) { return area(tile.error_area_m2, tile.error_area_px); }
function judge(verdict) {
  const { current, shown } = list;
  if (!current) return;
  if (verdict) verdicts[current.key] = verdict; else delete verdicts[current.key];
  keep();
  const at = shown.indexOf(current), following = shown[Math.min(shown.length - 1, at + 1)];
  if (find("verdict-filter").value) list.refresh(); else list.draw();
  count();
  if (verdict && following) list.select(list.shown.includes(following) ? following : list.shown[Math.min(at, list.shown.length - 1)]); else show(current);
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
  find("no-picture").hidden = Boolean(layers) || !list.current;
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
function show(current) {
  tell([]);
  for (const button of find("verdicts").querySelectorAll("[data-verdict]")) button.setAttribute("aria-pressed", String(Boolean(current) && button.dataset.verdict !== "" && verdicts[current.key] === button.dataset.verdict));
  if (!current) { find("tile-title").textContent = "Select a tile"; layers = null; paint(); return; }
  find("tile-title").textContent = `${current.name} · ${current.source} · ${current.tile}`;
  tell([["Estimated IoU", number(current.estimated_iou, 3)], ["Expected share of wrong pixels", percent(current.error_share, 2)],
    ["Expected wrong area", expected(current)], ["Columns, rows", `${current.left}–${current.right}, ${current.top}–${current.bottom}`], ["Centre", coordinates(current)], ["Verdict", verdicts[current.key] || "–"]]);
  load(current);
}
function coordinates(tile) {
  const crs = data.masks[tile.mask].crs;
  if (tile.lat !== null) return `${tile.lat.toFixed(6)}, ${tile.lon.toFixed(6)} (latitude, longitude)`;
  return `${tile.x}, ${tile.y} (${crs || "pixels"})`;
}
async function copy() {
  const { current } = list;
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
function count() {
  const reviewed = tiles.filter((tile) => verdicts[tile.key]).length;
  summarise([...data.summary, ["tiles reviewed", `${reviewed} of ${tiles.length}`]]);
}

// Set up.
find("about").textContent = data.about;
find("mask-filter").append(new Option("all", ""), ...data.masks.map((mask, index) => new Option(`${mask.name} · ${mask.source}`, String(index))));
for (const [id, chosen] of [["left", "image"], ["right", "quality"]]) find(id).append(...MODES.map(([value, title]) => new Option(title, value, false, value === chosen)));
for (const known of data.classes) { const item = element("li"); const swatch = element("span"); swatch.style.background = `rgba(${known.colour.join(",")})`; item.append(swatch, `${known.name} ${known.label}`); find("legend").append(item); }
{ const item = element("li"), scale = element("span", undefined, "scale"); scale.style.background = `linear-gradient(90deg, ${[0, 32, 64, 96, 128, 160, 192, 224, 255].map((at) => `rgb(${data.scale[at].join(",")})`).join(",")})`; item.append("P(error) 0 ", scale, "1"); find("legend").append(item); }
for (const id of ["left", "right", "slider"]) find(id).addEventListener("input", paint);
for (const radio of document.querySelectorAll("input[name=how]")) radio.addEventListener("change", paint);
for (const button of find("verdicts").querySelectorAll("[data-verdict]")) button.addEventListener("click", () => judge(button.dataset.verdict));
find("next").addEventListener("click", () => list.step(1));
find("previous").addEventListener("click", () => list.step(-1));
find("copy").addEventListener("click", copy);
find("export").addEventListener("click", download);
find("canvas").addEventListener("pointermove", (event) => { if (event.buttons || event.pointerType === "mouse") { const box = event.currentTarget.getBoundingClientRect(); find("slider").value = String(100 * (event.clientX - box.left) / box.width); paint(); } });
listen(list, (key) => {
  if (key === "1" || key === "2" || key === "3") judge(["right", "wrong", "unsure"][Number(key) - 1]);
  else if (key === "0") judge("");
  else if (key === "c") copy();
  else if (KEYS[key]) { find("right").value = KEYS[key]; paint(); }
  else return false;
  return true;
});
count();
list.refresh();
list.select(list.shown[0]);
