"""The page of all scenes: what is in it, and what it does in a browser (Debian's Chromium, where there is one)."""

import base64
import io
import math
import re

import numpy as np
import pytest
import shapely
from PIL import Image

from segassess.outputs.index_page import IndexedScene, RunPages
from segassess.outputs.scene_index import COLUMNS, PAGE, write_index_page
from tests.outputs.pages import HOSTILE, content, is_without_network, seconds_to_show

RUNS = [
    RunPages(report="../out/report.html", findings="../out/findings.html"),
    RunPages(report=None, findings=None),
]


def scene(number, count=5000, *, name=None, source="mask", unknown=False, lon=None, errors=40):
    """One of a country of scenes of 600 m, the worst first, the bad ones anywhere in it."""
    rng = np.random.default_rng(number)
    across = max(1, math.isqrt(count))
    row, column = divmod((number * 7919) % count, across)
    share = round(float(0.3 * (1 - number / count) * rng.uniform(0.9, 1)), 6)
    west = 80.0 + 0.08 * column + 0.03 * float(rng.random()) if lon is None else lon
    south = 26.4 + 0.05 * row + 0.02 * float(rng.random())
    scores = {
        "estimated_iou": max(0.0, 1 - 3 * share), "estimated_f1": 0.8, "estimated_precision": 0.75, "estimated_recall": 0.9,
        "error_share": share, "error_area_px": 4e6 - 700 * number, "error_area_m2": 3.6e5 - 63 * number,
    }  # fmt: skip
    worst = {
        "worst_quality": "FN" if number % 3 else "FP",
        "worst_px": 5000.0 - number % 900,
        "worst_lon": west,
        "worst_lat": south,
    }
    if unknown:
        scores, worst, errors = dict.fromkeys(scores, math.nan), {**dict.fromkeys(worst, math.nan), "worst_quality": None}, 0
    name = f"scene_{number:04d}" if name is None else name
    values = {"name": name, "source": source, "folder": f"../out/{name}", **scores, "errors": errors, **worst}
    return IndexedScene(values, shapely.box(west, south, west + 0.006, south + 0.0054), number % 2)


def scenes(count, **about):
    return [scene(number, count, **about) for number in range(count)]


@pytest.fixture
def shown(opened, tmp_path):
    """Opens the page of scenes."""

    def load(rows, runs=RUNS, **about):
        write_index_page(tmp_path, rows, runs, **about)
        return opened(tmp_path / PAGE)

    return load


def names(view):
    return [each.inner_text().split("\n")[0] for each in view.locator(".row").all()]


def links(view):
    return {each.inner_text(): each.get_attribute("href") for each in view.locator("#links a").all()}


def test_rows_and_columns_are_those_of_the_index_and_numbers_are_json(tmp_path):
    rows = [*scenes(3), scene(3, unknown=True)]
    data = content(write_index_page(tmp_path, rows, RUNS).read_text(encoding="utf-8"))
    assert tuple(data["columns"]) == (*COLUMNS, "outline", "run")
    assert [row[0] for row in data["scenes"]] == [each.values["name"] for each in rows]
    first, last = (dict(zip(data["columns"], row, strict=True)) for row in (data["scenes"][0], data["scenes"][-1]))
    assert first["estimated_iou"] == pytest.approx(rows[0].values["estimated_iou"], abs=1e-5)
    assert first["outline"][:2] == pytest.approx(shapely.get_coordinates(rows[0].footprint)[0], abs=1e-6)
    assert (last["estimated_iou"], last["error_area_m2"], last["worst_lon"], last["errors"]) == (None, None, None, 0)
    assert dict(data["summary"])["scenes"] == "4" and dict(data["summary"])["errors"] == "120"


def test_the_page_needs_no_network_and_names_are_text(tmp_path):
    html = write_index_page(tmp_path, scenes(3, name=HOSTILE), RUNS, [HOSTILE]).read_text(encoding="utf-8")
    assert is_without_network(html)
    assert content(html)["scenes"][0][0] == HOSTILE and HOSTILE in content(html)["about"]


def test_an_evil_name_does_no_harm(shown):
    view = shown([scene(number, name=HOSTILE, source=HOSTILE) for number in range(2)], left_out=[HOSTILE])
    view.keyboard.press("j")
    view.hover("#map")
    assert view.evaluate("window.hacked") is None
    assert view.locator("#title").inner_text().startswith("2. " + HOSTILE[:20])
    folder = links(view)["Folder of its maps"]
    assert folder.startswith("../out/") and not re.search(r"[<>\"':\s]", folder)


def test_a_folder_is_a_path_whatever_it_is_called(shown):
    row = scene(1)
    row.values["folder"] = "javascript:alert(1)//a b#c?d%20"
    assert links(shown([row])) == {"Folder of its maps": "javascript%3Aalert(1)//a%20b%23c%3Fd%2520/"}


def test_heads_sort_and_what_is_unknown_comes_last(shown):
    view = shown([*scenes(12), scene(12, unknown=True)])
    assert names(view)[0] == "scene_0000" and names(view)[-1] == "scene_0012"
    last = view.locator(".row").last.inner_text().split("\n")
    assert last == ["scene_0012", "mask", "–", "–", "–", "0", "–"]
    for _ in range(2):
        view.click("#heads button[data-by=name]")
    assert names(view)[:2] == ["scene_0012", "scene_0011"]
    view.click("#heads button[data-by=estimated_iou]")
    assert names(view)[0] == "scene_0000" and names(view)[-1] == "scene_0012"
    view.click("#heads button[data-by=estimated_iou]")
    assert names(view)[0] == "scene_0011" and names(view)[-1] == "scene_0012"
    view.click("#heads button[data-by=worst_px]")
    assert names(view)[0] == "scene_0000" and names(view)[-1] == "scene_0012", "the largest come first at the first click"


def test_search_and_limit_leave_out_scenes_of_list_and_map(shown):
    view = shown([*scenes(12), scene(12, unknown=True), scene(13, source="Other")])
    view.fill("#search", "OTHER scene")
    assert view.locator("#shown").inner_text() == "1 of 14 scenes" and names(view) == ["scene_0013"]
    view.fill("#search", "")
    view.fill("#iou-filter", "0.5")
    below = [each for each in [*scenes(12), scene(13)] if each.values["estimated_iou"] < 0.5]
    assert 0 < len(below) < 13
    assert view.locator("#shown").inner_text() == f"{len(below)} of 14 scenes", "an unknown IoU is not below"
    assert view.locator("#map").get_attribute("data-drawn") == str(len(below))


def test_links_lead_to_the_pages_of_the_run_and_to_the_folder(shown):
    view = shown(scenes(2, source="a&b"))
    words = "#search=scene_0000%20a%26b"
    assert links(view) == {
        "Report, tile by tile": "../out/report.html" + words,
        "Findings, one by one": "../out/findings.html" + words,
        "Folder of its maps": "../out/scene_0000/",
    }
    view.keyboard.press("j")
    assert links(view) == {"Folder of its maps": "../out/scene_0001/"}


def test_keys_go_through_the_list_and_to_the_report(shown, tmp_path):
    (tmp_path / "report.html").write_text("<title>here</title>", encoding="utf-8")
    view = shown(scenes(300), [RunPages(report="report.html", findings=None)] * 2)
    for key in ("j", "ArrowDown", "k"):
        view.keyboard.press(key)
    assert view.locator("#title").inner_text() == "2. scene_0001 · mask"
    row = view.locator("#" + view.locator("#rows").get_attribute("aria-activedescendant"))
    assert row.get_attribute("aria-label").startswith("2: scene_0001, mask, estimated IoU 0.")
    with view.context.expect_page() as page:
        view.keyboard.press("o")
    assert page.value.url == (tmp_path / "report.html").as_uri() + "#search=scene_0001%20mask"
    view.keyboard.press("/")
    view.keyboard.type("j0")
    assert view.input_value("#search") == "j0" and view.locator("#shown").inner_text() == "0 of 300 scenes"
    assert view.locator("#map").get_attribute("data-drawn") == "0"
    view.fill("#search", "")
    view.keyboard.press("Escape")
    view.keyboard.press("j")
    assert view.locator("#title").inner_text() == "3. scene_0002 · mask"


def pixels(view):
    """Colours of the map, uint8 (height, width, 3)."""
    picture = view.evaluate("document.getElementById('map').toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))).convert("RGB"))


def spot(view, number):
    """Where a scene is in the window."""
    return view.evaluate(f"""() => {{
        const [left, top, right, bottom] = sides(scenes[{number}]), box = map.getBoundingClientRect();
        return [box.left + (left + right) / 2, box.top + (top + bottom) / 2];
    }}""")


def test_the_map_shows_every_scene_in_its_colour(shown):
    view = shown(scenes(9))
    view.evaluate("list.select(null)")
    data = content(view.content())
    for by, bad in (("estimated_iou", lambda row: 1 - row["estimated_iou"]), ("error_share", lambda row: row["error_share"])):
        view.select_option("#colour", by)
        seen, box = pixels(view), view.locator("#map").bounding_box()
        rows = [dict(zip(data["columns"], row, strict=True)) for row in data["scenes"]]
        high = sorted(row["error_share"] for row in rows)[int(0.98 * 8)] if by == "error_share" else 1
        for number, row in enumerate(rows):
            x, y = spot(view, number)
            expected = data["scale"][round(60 + 195 * min(1, bad(row) / high))]
            assert np.abs(seen[int(y - box["y"]), int(x - box["x"])].astype(int) - expected).max() <= 3, (by, number)


def test_map_and_list_select_the_same_scene(shown):
    view = shown(scenes(400))
    x, y = spot(view, 350)
    view.mouse.move(x, y)
    assert view.locator("#place").inner_text().startswith("351. scene_0350")
    view.mouse.click(x, y)
    selected = view.locator(".row[aria-selected=true]")
    assert selected.inner_text().startswith("scene_0350"), "the list scrolls there"
    before = pixels(view)
    view.keyboard.press("j")
    assert view.locator("#title").inner_text() == "352. scene_0351 · mask"
    assert (pixels(view) != before).any(), "the ring goes along"
    view.keyboard.press("k")
    assert (pixels(view) == before).all(), "and leaves nothing behind"
    view.locator("#row-345").hover()
    assert view.locator("#place").inner_text().startswith("345. scene_0344")


def test_clicks_go_through_masks_of_one_scene(shown):
    one = scene(5)
    view = shown([IndexedScene({**one.values, "source": source}, one.footprint, 0) for source in ("a", "b", "c")])
    x, y = spot(view, 0)
    titles = []
    for _ in range(3):
        view.mouse.click(x, y)
        titles.append(view.locator("#title").inner_text()[-1])
    assert titles == ["b", "c", "a"]


def test_the_map_can_be_moved_and_magnified(shown):
    view = shown(scenes(400))
    x, y = spot(view, 7)
    view.mouse.move(x, y)
    scale = view.evaluate("view.scale")
    view.mouse.wheel(0, -300)
    view.wait_for_function(f"view.scale > {scale}")
    assert spot(view, 7) == pytest.approx([x, y], abs=0.5), "what is under the pointer stays there"
    far = math.dist(spot(view, 7), spot(view, 8))
    view.mouse.down()
    view.mouse.move(x + 30, y + 20, steps=3)
    view.mouse.up()
    assert spot(view, 7) == pytest.approx([x + 30, y + 20], abs=0.5)
    assert view.locator("#title").inner_text().startswith("1. "), "a drag selects nothing"
    view.keyboard.press("0")
    assert math.dist(spot(view, 7), spot(view, 8)) < far
    view.keyboard.press("z")
    left, top, right, bottom = view.evaluate("sides(scenes[0])")
    assert right - left > 30 and bottom - top > 30


def test_a_country_on_both_sides_of_the_date_line_is_in_one_piece(shown):
    view = shown([scene(0, 3, lon=179.9), scene(1, 3, lon=-179.9), scene(2, 3, lon=179.997)])
    (first, _), (second, _), (across, _) = (spot(view, number) for number in range(3))
    assert first < across < second
    assert (second - first) / (across - first) == pytest.approx(0.2 / 0.097, rel=0.1)


@pytest.mark.parametrize("count", [1, 2])
def test_few_scenes_fill_the_map(shown, count):
    view = shown(scenes(count))
    left, top, right, bottom = view.evaluate("sides(scenes[0])")
    assert min(right - left, bottom - top) > (100 if count == 1 else 4)


@pytest.mark.slow
def test_five_thousand_scenes_open_in_two_seconds(opened, tmp_path):
    path = write_index_page(tmp_path, scenes(5000), RUNS)
    taken = []
    # Another program may have the processor once.
    for _ in range(3):
        view = opened(path)
        taken.append(seconds_to_show(view))
        assert view.locator("#shown").inner_text() == "5000 of 5000 scenes"
        assert view.locator("#map").get_attribute("data-drawn") == "5000"
    print(f"seconds to open 5,000 scenes: {sorted(taken)}, {path.stat().st_size / 1e6:.2f} MB")
    assert min(taken) < 2, taken
    assert view.locator(".row").count() < 60
    view.locator("#rows").evaluate("box => { box.scrollTop = box.scrollHeight; }")
    view.wait_for_selector("#row-5000")
