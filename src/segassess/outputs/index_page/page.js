const ROW = 34;
const scenes = records(data.scenes).map((scene) => Object.assign(scene, { text: `${scene.name} ${scene.source}`.toLowerCase() }));
const list = makeList({
  all: scenes, noun: "scenes", height: ROW, order: { by: "error_area_px", up: false },
  heads: [["name", "name"], ["source", "source"], ["estimated_iou", "est. IoU", "number"], ["error_share", "est. wrong", "number", true], ["error_area_px", "est. area", "number", true],
    ["errors", "errors", "number", true], ["worst_px", "worst error", "number", true]],
  filters: ["search", "iou-filter"],
  keeps: () => { const found = searched(), below = iouBelow(); return (scene) => found(scene) && below(scene); },
  value: (scene, by) => scene[by],
  cells: (scene) => [words(scene.name), words(scene.source), element("span", number(scene.estimated_iou, 3), "number"),
    element("span", percent(scene.error_share, 1), "number"), element("span", expected(scene), "number"), element("span", String(scene.errors), "number"), element("span", worst(scene), "number")],
  label: (scene) => `${scene.rank}: ${scene.name}, ${scene.source}, estimated IoU ${number(scene.estimated_iou, 3)}, ${expected(scene)} wrong, ${scene.errors} errors`,
  chosen: show,
  drawn: plot,
});

function expected(scene) { return area(scene.error_area_m2, scene.error_area_px); }
function worst(scene) { return scene.worst_quality === null ? "–" : `${scene.worst_quality} ${area(null, scene.worst_px)}`; }
function words(text) { const made = element("span", text.slice(0, 200), "where"); made.title = text.slice(0, 1000); return made; }
// A path of the file system, relative to the page, as an address.
function address(path) { return path.split("/").map(encodeURIComponent).join("/"); }

function show(scene) {
  mark();
  find("links").replaceChildren();
  if (!scene) { find("title").textContent = "Select a scene"; tell([]); return; }
  find("title").textContent = `${scene.rank}. ${scene.name} · ${scene.source}`;
  const pages = data.runs[scene.run], search = "#search=" + encodeURIComponent(`${scene.name} ${scene.source}`);
  for (const [key, title, path, rest] of [["o", "Report, tile by tile", pages.report, search], ["f", "Findings, one by one", pages.findings, search], ["", "Folder of its maps", scene.folder, "/"]]) {
    if (path === null) continue;
    const link = element("a", title);
    link.href = address(path) + rest; link.target = "_blank"; link.rel = "noopener"; link.dataset.key = key;
    find("links").append(link);
  }
  const place = scene.worst_lat === null ? "" : `, at ${scene.worst_lat.toFixed(6)}, ${scene.worst_lon.toFixed(6)} (latitude, longitude)`;
  tell([["Estimated IoU", number(scene.estimated_iou, 3)], ["Estimated F1", number(scene.estimated_f1, 3)], ["Estimated precision", number(scene.estimated_precision, 3)],
    ["Estimated recall", number(scene.estimated_recall, 3)], ["Expected share of wrong pixels", percent(scene.error_share, 2)], ["Expected wrong area", expected(scene)],
    ["Errors", scene.errors], ["Worst error", worst(scene) + place], ["Folder", scene.folder]]);
}

// The map: degrees on a plane, east-west shortened as in the middle of all scenes. What does not move is kept in `ground`.
const SIDE = 58, EDGE = 26, SMALL = 5, NEAR = 12, FLOOR = 60, DARK = "#16191d";
const map = find("map"), ground = document.createElement("canvas"), view = { x: 0, y: 0, scale: 1, width: 0, height: 0 };
let hovered = null, drag = null, whole = null, waiting = 0;
// How bad a scene is, from 0 to 1, or null; `ends` are the words at the ends of the scale.
const highShare = quantile(scenes.map((scene) => scene.error_share), 0.98);
const COLOURS = {
  estimated_iou: { title: "estimated IoU", ends: ["1", "0"], bad: (scene) => scene.estimated_iou === null ? null : 1 - scene.estimated_iou },
  error_share: { title: "share of wrong pixels", ends: ["0 %", percent(highShare, 1)], bad: (scene) => scene.error_share === null ? null : Math.min(1, scene.error_share / highShare) },
};
function quantile(values, at) { const known = values.filter((value) => value !== null).sort((a, b) => a - b); return known[Math.floor(at * (known.length - 1))] || 0.01; }
const STEPS = data.scale.map((colour) => `rgb(${colour.join(",")})`);
function shade(bad) { return bad === null ? "#868e96" : STEPS[Math.round(FLOOR + (255 - FLOOR) * bad)]; }

function place() {
  const east = [], north = [];
  for (const scene of scenes) for (let at = 0; at < scene.outline.length; at += 2) { east.push(scene.outline[at]); north.push(scene.outline[at + 1]); }
  // Beyond the widest gap between scenes longitudes go on above 180°, so that a country on both sides of that line is in one piece.
  east.sort((a, b) => a - b);
  let cut = -Infinity, widest = east[0] + 360 - east[east.length - 1];
  for (let at = 1; at < east.length; at++) if (east[at] - east[at - 1] > widest) { widest = east[at] - east[at - 1]; cut = east[at]; }
  const low = north.reduce((a, b) => Math.min(a, b)), high = north.reduce((a, b) => Math.max(a, b)), narrow = Math.max(0.05, Math.cos((low + high) / 2 * Math.PI / 180));
  for (const scene of scenes) {
    scene.corners = [];
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    for (let at = 0; at < scene.outline.length; at += 2) {
      const x = (scene.outline[at] < cut ? scene.outline[at] + 360 : scene.outline[at]) * narrow, y = -scene.outline[at + 1];
      scene.corners.push([x, y]);
      box[0] = Math.min(box[0], x); box[1] = Math.min(box[1], y); box[2] = Math.max(box[2], x); box[3] = Math.max(box[3], y);
    }
    scene.box = box;
  }
  const box = scenes.reduce((all, { box }) => [Math.min(all[0], box[0]), Math.min(all[1], box[1]), Math.max(all[2], box[2]), Math.max(all[3], box[3])], [Infinity, Infinity, -Infinity, -Infinity]);
  whole = { box, narrow };
}
function fit([left, top, right, bottom]) {
  view.x = (left + right) / 2; view.y = (top + bottom) / 2;
  view.scale = Math.min((map.clientWidth - 2 * SIDE) / Math.max(1e-6, right - left), (map.clientHeight - 2 * EDGE) / Math.max(1e-6, bottom - top));
}
function screen(x, y) { return [(x - view.x) * view.scale + view.width / 2, (y - view.y) * view.scale + view.height / 2]; }
// Sides on the screen, of a few pixels at least.
function sides(scene) {
  const east = view.width / 2 - view.x * view.scale, south = view.height / 2 - view.y * view.scale;
  const left = scene.box[0] * view.scale + east, top = scene.box[1] * view.scale + south, right = scene.box[2] * view.scale + east, bottom = scene.box[3] * view.scale + south;
  const x = Math.max(0, SMALL - (right - left)) / 2, y = Math.max(0, SMALL - (bottom - top)) / 2;
  return [left - x, top - y, right + x, bottom + y];
}
function plot() {
  const ratio = devicePixelRatio || 1, width = map.clientWidth, height = map.clientHeight;
  if (!width || !height) return;
  Object.assign(view, { width, height });
  for (const canvas of [map, ground]) { canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio); }
  const pen = ground.getContext("2d"), { bad } = COLOURS[find("colour").value], kept = new Set(list.shown);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.fillStyle = DARK;
  pen.fillRect(0, 0, width, height);
  const labels = degrees(pen, width, height);
  // The worst come last, on top.
  const order = scenes.map((scene) => [!kept.has(scene) ? -2 : bad(scene) ?? -1, scene]).sort((a, b) => a[0] - b[0] || b[1].rank - a[1].rank);
  for (const [how, scene] of order) {
    const [left, top, right, bottom] = sides(scene);
    if (right < 0 || bottom < 0 || left > width || top > height) continue;
    pen.fillStyle = how === -2 ? "#343a40" : shade(how < 0 ? null : how);
    if (right - left > 2 * SMALL && bottom - top > 2 * SMALL) {
      outline(pen, scene);
      pen.fill();
      pen.strokeStyle = DARK; pen.lineWidth = 1; pen.stroke();
    } else pen.fillRect(left, top, right - left, bottom - top);
  }
  pen.fillStyle = "#dee2e6"; pen.strokeStyle = DARK; pen.lineWidth = 3; pen.font = "11px system-ui, sans-serif";
  for (const label of labels) { pen.strokeText(...label); pen.fillText(...label); }
  map.setAttribute("aria-label", `Map of ${list.shown.length} scenes, coloured by ${COLOURS[find("colour").value].title}`);
  map.dataset.drawn = list.shown.length;
  mark();
}
function outline(pen, scene) { pen.beginPath(); for (const corner of scene.corners) pen.lineTo(...screen(...corner)); pen.closePath(); }
// Lines about every 110 pixels, at round numbers; returns what is to be written along them, and where.
function degrees(pen, width, height) {
  const least = 110 / view.scale, tens = 10 ** Math.floor(Math.log10(least)), step = [1, 2, 5, 10].map((times) => times * tens).find((each) => each >= least) || 10 * tens;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), name = (value, plus, minus) => `${Math.abs(value).toFixed(digits)}°${Math.abs(value) < step / 2 ? "" : value < 0 ? ` ${minus}` : ` ${plus}`}`;
  pen.strokeStyle = "#343a40"; pen.lineWidth = 1;
  const [west, east] = [-width, width].map((by) => (view.x + by / 2 / view.scale) / whole.narrow), [south, north] = [height, -height].map((by) => -(view.y + by / 2 / view.scale));
  const lines = [];
  for (let at = Math.ceil(west / step) * step; at <= east; at += step) lines.push([Math.round(screen(at * whole.narrow, 0)[0]) + 0.5, null, name((at + 540) % 360 - 180, "E", "W")]);
  for (let at = Math.ceil(Math.max(-90, south) / step) * step; at <= Math.min(90, north); at += step) lines.push([null, Math.round(screen(0, -at)[1]) + 0.5, name(at, "N", "S")]);
  for (const [x, y, text] of lines) {
    pen.beginPath();
    if (y === null) { pen.moveTo(x, 0); pen.lineTo(x, height); } else { pen.moveTo(0, y); pen.lineTo(width, y); }
    pen.stroke();
  }
  return lines.map(([x, y, text]) => y === null ? [text, x + 4, height - 5] : [text, 4, y - 4]).filter(([, x, y]) => x < width - 50 && y > 12);
}
// Copies the ground, and rings around the scene under the pointer and the selected one.
function mark() {
  if (!map.width || !ground.width) return;
  const pen = map.getContext("2d"), ratio = devicePixelRatio || 1;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.drawImage(ground, 0, 0);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  for (const [scene, colour] of [[hovered, "#74c0fc"], [list.current, "#fff"]]) {
    if (!scene) continue;
    const [left, top, right, bottom] = sides(scene);
    for (const [style, wide] of [["#000", 5], [colour, 2.5]]) {
      pen.strokeStyle = style; pen.lineWidth = wide;
      if (Math.max(right - left, bottom - top) > 24) outline(pen, scene);
      else { pen.beginPath(); pen.arc((left + right) / 2, (top + bottom) / 2, 9, 0, 7); }
      pen.stroke();
    }
  }
}
// Scenes of the list at a place on the map, nearest first, then worst first.
function under(x, y) {
  return list.shown.map((scene) => {
    const [left, top, right, bottom] = sides(scene);
    return [Math.hypot(Math.max(left - x, 0, x - right), Math.max(top - y, 0, y - bottom)), scene];
  }).filter(([far]) => far < NEAR).sort((a, b) => a[0] - b[0] || a[1].rank - b[1].rank);
}
function hover(scene) {
  if (scene === hovered) return;
  for (const [each, on] of [[hovered, false], [scene, true]]) if (each) find("row-" + each.rank)?.classList.toggle("hovered", on);
  hovered = scene;
  find("place").textContent = scene ? `${scene.rank}. ${scene.name} · ${scene.source}: estimated IoU ${number(scene.estimated_iou, 3)}, ${expected(scene)} wrong` : "";
  mark();
}
// Once for all that happens before the next picture.
function later() { if (!waiting) waiting = requestAnimationFrame(() => { waiting = 0; plot(); }); }
function point(event) { const box = map.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; }
function zoom(by, [x, y] = [map.clientWidth / 2, map.clientHeight / 2]) {
  const scale = Math.min(1e7, Math.max(0.5, view.scale * by));
  view.x += (x - map.clientWidth / 2) * (1 / view.scale - 1 / scale); view.y += (y - map.clientHeight / 2) * (1 / view.scale - 1 / scale);
  view.scale = scale;
  later();
}
function act(key) {
  const link = key && find("links").querySelector(`[data-key="${key}"]`);
  if (key === "o" || key === "f") { if (link) link.click(); }
  else if (key === "+" || key === "=") zoom(1.6);
  else if (key === "-") zoom(1 / 1.6);
  else if (key === "0") { fit(whole.box); plot(); }
  else if (key === "z") { if (list.current) { const [left, top, right, bottom] = list.current.box, by = 4 * Math.max(right - left, bottom - top); fit([left - by, top - by, right + by, bottom + by]); plot(); } }
  else return false;
  return true;
}
function explain() {
  const { ends } = COLOURS[find("colour").value], scale = element("span", undefined, "scale"), parts = [ends[0], scale, ends[1]];
  scale.style.background = `linear-gradient(90deg, ${[0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1].map(shade).join(",")})`;
  if (scenes.some((scene) => scene[find("colour").value] === null)) parts.push(element("span", "", "unknown"), "unknown");
  find("legend").replaceChildren(...parts);
}

// Set up.
find("about").textContent = data.about;
summarise(data.summary);
find("colour").append(...Object.entries(COLOURS).map(([value, { title }]) => new Option(title, value)));
find("colour").addEventListener("input", () => { explain(); plot(); });
for (const button of find("zoom").querySelectorAll("button")) button.addEventListener("click", () => act(button.dataset.key));
find("rows").addEventListener("pointermove", (event) => { const row = event.target.closest(".row"); hover(row ? scenes[row.id.slice(4) - 1] : null); });
for (const id of ["rows", "map"]) find(id).addEventListener("pointerleave", () => hover(null));
map.addEventListener("pointerdown", (event) => { const [x, y] = point(event); drag = { x, y, moved: false }; });
map.addEventListener("pointermove", (event) => {
  const [x, y] = point(event);
  if (!drag) { hover(under(x, y)[0]?.[1] ?? null); return; }
  if (!drag.moved && Math.hypot(x - drag.x, y - drag.y) < 4) return;
  if (!drag.moved) { drag.moved = true; map.setPointerCapture(event.pointerId); }
  view.x -= (x - drag.x) / view.scale; view.y -= (y - drag.y) / view.scale;
  Object.assign(drag, { x, y });
  later();
});
map.addEventListener("pointerup", (event) => {
  if (drag && !drag.moved) {
    const found = under(...point(event)), same = found.filter(([far]) => far === found[0][0]).map(([, scene]) => scene);
    // A second click takes the next scene at the same place.
    if (same.length) list.select(same[(same.indexOf(list.current) + 1) % same.length]);
  }
  drag = null;
});
map.addEventListener("pointercancel", () => { drag = null; });
map.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY < 0 ? 1.25 : 0.8, point(event)); }, { passive: false });
listen(list, act);
place();
fit(whole.box);
explain();
list.refresh();
list.select(list.shown[0]);
new ResizeObserver(() => { if (Math.round(map.clientWidth * (devicePixelRatio || 1)) !== map.width) plot(); }).observe(map);
