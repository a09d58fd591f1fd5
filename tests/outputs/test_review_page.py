"""The review page: what is in it, and what it does in a browser (Debian's Chromium, where there is one)."""

import csv

import numpy as np
import pytest

from segassess.outputs.review_page import render_review_page, tile_picture
from tests.outputs.pages import HOSTILE, content, is_without_network

RNG = np.random.default_rng(0)


def tiles(count, first=0):
    return [
        {
            "tile": f"r{number // 10}c{number % 10}", "left": 64 * number, "top": 0, "right": 64 * number + 64, "bottom": 64,
            "x": 500_000.0 + number, "y": 9_300_000.0, "lon": 33.0 + number / 1000, "lat": -6.5,
            "estimated_iou": None if number == 3 else (number % 97) / 97, "error_share": 0.01 * (number % 50),
            "error_area_px": float(10_000 - number), "error_area_m2": float(10_000 - number) / 4,
        }
        for number in range(first, first + count)
    ]  # fmt: skip


def page(count=12, pictures=8, name="scene"):
    codes = np.full((64, 64), 2, np.uint8)
    codes[10:30, 10:30], codes[40:60, 40:60], codes[10:20, 40:60] = 0, 1, 3
    error = np.where(np.isin(codes, (1, 3)), 200, 10).astype(np.uint8)
    picture = tile_picture(RNG.random((64, 64, 3), np.float32), codes, error)
    rows = tiles(count)
    masks = [
        {"name": name, "source": HOSTILE, "crs": "EPSG:32736", "tiles": rows[: count // 2], "pictures": {}},
        {"name": "other", "source": "mask", "crs": None, "tiles": rows[count // 2 :], "pictures": {}},
    ]
    for mask in masks:
        mask["pictures"] = {row["tile"]: picture for row in mask["tiles"][:pictures]}
    return render_review_page(masks, "Estimates without ground truth.", [("masks judged", "2")], pictures)


def test_tiles_come_worst_first_with_pictures_of_the_worst():
    data = content(page())
    area, picture = (data["columns"].index(name) for name in ("error_area_px", "picture"))
    assert [row[area] for row in data["tiles"]] == sorted((row[area] for row in data["tiles"]), reverse=True)
    assert [row[picture] is None for row in data["tiles"]] == [False] * 8 + [True] * 4 and len(data["pictures"]) == 8
    assert data["classes"][3]["name"] == "FN" and len(data["scale"]) == 256


def test_the_page_needs_no_network_and_names_are_text():
    html = page(name=HOSTILE)
    assert is_without_network(html)
    assert content(html)["masks"][0]["name"] == HOSTILE


def test_large_tiles_are_reduced():
    large = tile_picture(np.zeros((700, 500, 3), np.float32), np.zeros((700, 500), np.uint8), np.zeros((700, 500), np.uint8))
    assert sum(map(len, large.values())) < 20_000


def test_verdicts_of_another_page_are_not_shown():
    assert content(page())["id"] == content(page())["id"] != content(page(count=13))["id"]


@pytest.fixture
def shown(opened, tmp_path):
    """Opens HTML as a page."""

    def load(html):
        (tmp_path / "report.html").write_text(html, encoding="utf-8")
        return opened(tmp_path / "report.html")

    return load


def test_review_by_keyboard(shown, tmp_path):
    view = shown(page(name=HOSTILE))
    assert view.locator(".row[aria-selected=true]").count() == 1 and view.locator("#tile-title").inner_text().endswith("r0c0")
    assert view.evaluate("window.hacked") is None
    for key in ("1", "2", "j", "3", "k"):
        view.keyboard.press(key)
    view.locator("#slider").evaluate("slider => { slider.value = 100; slider.dispatchEvent(new Event('input')); }")
    assert "3 of 12" in view.locator("#summary").inner_text()
    with view.expect_download() as download:
        view.click("#export")
    download.value.save_as(tmp_path / "verdicts.csv")
    with (tmp_path / "verdicts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["tile"], row["verdict"]) for row in rows] == [("r0c0", "right"), ("r0c1", "wrong"), ("r0c3", "unsure")]
    assert rows[0]["source"] == HOSTILE and rows[0]["lat"] == "-6.5" and rows[2]["estimated_iou"] == ""
    view.reload()
    assert "3 of 12" in view.locator("#summary").inner_text(), "verdicts are kept"
    view.select_option("#verdict-filter", "wrong")
    assert view.locator("#shown").inner_text() == "1 of 12 tiles"
    view.keyboard.press("0")


def test_filter_and_sort(shown):
    view = shown(page())
    view.fill("#search", "OTHER r0c9")
    assert view.locator("#shown").inner_text() == "1 of 12 tiles"
    view.fill("#search", "")
    view.fill("#iou-filter", "0.05")
    assert view.locator("#shown").inner_text() == "4 of 12 tiles", "an unknown IoU is not below"
    view.fill("#iou-filter", "")
    view.click("#heads button[data-by=estimated_iou]")
    assert "r0c0" in view.locator(".row").first.inner_text() and "r0c3" in view.locator(".row").last.inner_text()
    view.click("#heads button[data-by=estimated_iou]")
    assert "r1c1" in view.locator(".row").first.inner_text() and "r0c3" in view.locator(".row").last.inner_text()


def test_a_link_brings_words_to_search_for_and_keys_lead_to_the_search_and_back(shown):
    view = shown(page(name=HOSTILE))
    address = view.url
    view.goto("about:blank")
    view.goto(address + "#search=OTHER%20r0c9%")
    assert view.input_value("#search") == "OTHER r0c9%" and view.locator("#shown").inner_text() == "0 of 12 tiles"
    view.keyboard.press("/")
    view.keyboard.press("Backspace")
    view.keyboard.press("Escape")
    for key in ("j", "1"):
        view.keyboard.press(key)
    assert view.locator("#shown").inner_text() == "1 of 12 tiles" and "1 of 12" in view.locator("#summary").inner_text()


def colour(view, x, y):
    return view.evaluate(f"Array.from(document.getElementById('canvas').getContext('2d').getImageData({x}, {y}, 1, 1).data)")


def test_layers(shown):
    """At pixel (15, 50) of 64 the quality map says FN, at (50, 50) FP; the canvas has 640 pixels."""
    view = shown(page())
    view.wait_for_function("document.getElementById('canvas').height === 640")
    view.locator("#slider").evaluate("slider => { slider.value = 0; slider.dispatchEvent(new Event('input')); }")
    for key, place, expected in (
        ("q", (505, 155), (0, 114, 178)),
        ("q", (505, 505), (213, 94, 0)),
        ("m", (505, 505), (240, 228, 66)),
    ):
        view.keyboard.press(key)
        assert np.abs(np.array(colour(view, *place)[:3]) - expected).max() < 110
    view.keyboard.press("e")
    scale = content(page())["scale"]
    assert np.abs(np.array(colour(view, 505, 505)[:3]) - scale[204]).max() <= 3
    assert np.abs(np.array(colour(view, 305, 305)[:3]) - scale[10]).max() <= 3
    view.keyboard.press("r")
    bright, dark = colour(view, 505, 155)[:3], colour(view, 505, 505)[:3]
    assert sum(bright) > sum(dark), "what is missing is in the refined mask, what is false is not"


@pytest.mark.slow
def test_five_thousand_tiles_are_quick(shown):
    view = shown(page(5000, pictures=1000))
    assert view.locator("#shown").inner_text() == "5000 of 5000 tiles" and view.locator(".row").count() < 40
    elapsed = view.evaluate("""async () => {
        const start = performance.now();
        for (let step = 0; step < 50; step++) document.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
        document.getElementById("search").value = "r49"; document.getElementById("search").dispatchEvent(new Event("input"));
        return performance.now() - start;
    }""")
    assert elapsed < 5000, elapsed
