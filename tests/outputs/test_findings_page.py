"""The page of findings: what is in it, what it does in a browser, and what becomes of its verdicts."""

import base64
import csv
import io
import json
import re
import time

import geopandas
import pytest
import shapely
from PIL import Image

from segassess.cli import mend as mend_tool
from segassess.cli import queue as queue_tool
from segassess.cli import verdicts as verdicts_tool
from segassess.errors import RequestError
from segassess.files import write_json
from segassess.outputs.findings_page import PAGE, render_findings_page, write_findings_page
from segassess.outputs.judged_folder import judged_folders
from segassess.outputs.review_page import encoded, render_review_page
from segassess.outputs.review_queue import layer_rows
from segassess.outputs.review_queue.findings import AREAS, Finding, make_findings
from segassess.outputs.review_record import write_page
from tests.outputs.pages import content, is_without_network
from tests.outputs.review_queue.conftest import predicted  # noqa: F401  # a fixture
from tests.outputs.test_mending import (
    box,
    judged,  # noqa: F401  # a fixture
    write,
)

HOSTILE = (
    '=cmd|" /C calc"!A0</script><script>window.hacked=1</script><img src=x onerror="window.hacked=2">\u202eמבנה🏚\u2028\n'
    + 400 * "long"
)


def missed_alone(judged):  # noqa: F811
    """A judged raster with one missed object."""
    about = {"mean_error": [0.8], "expected_errors_px": [80.0], "area_m2": [25.0]}
    write(judged / "scene" / "objects.gpkg", [box(50, 50)], object=[7], verdict=["missed"], **about)
    write(judged / "scene" / "errors.gpkg", [box(50, 50)], error=[1], object=[0], quality=["FN"], form=["area"], **about)
    (judged / "scene" / "polygons.gpkg").unlink()


def finding(number, *, source="mask", placed=True):
    lon, lat = 85.5 + number % 200 / 1e4, 27.6 + number // 200 / 1e4
    left, top = 20 * (number % 200), 20 * (number // 200)
    return Finding(
        id=f"{number:016x}",
        name="scene",
        source=source,
        kind=("invented", "missed", "partly wrong", AREAS["FN"])[number % 4],
        feature=number if number % 4 in (0, 2) else None,
        object=number if number % 4 == 1 else None,
        p_error=0.9 - number % 80 / 100,
        wrong_px=float(30_000 - number),
        area_m2=float(number % 300) if placed else float("nan"),
        outline=shapely.box(lon, lat, lon + 5e-5, lat + 5e-5) if placed else shapely.box(left, top, left + 10, top + 10),
        outline_px=shapely.box(left, top, left + 10, top + 10),
        is_placed=placed,
    )


def page(count, **about):
    findings = [finding(number, **about) for number in range(count)]
    photo = encoded(Image.effect_noise((100, 100), 50).convert("RGB"), "JPEG")
    crops = {each.id: {"image": photo, "width": 100, "height": 100, "outline": "M10 10L60 10L60 60Z"} for each in findings[:500]}
    overview = {"image": photo, "width": 4000, "height": 4000}
    return render_findings_page(findings, crops, {("scene", findings[0].source): overview})


def rows_of(html):
    data = content(html)
    return [dict(zip(data["columns"], row, strict=True)) for row in data["findings"]]


def saved(tmp_path, html):
    (tmp_path / "findings.html").write_text(html, encoding="utf-8")
    return tmp_path / "findings.html"


def exported(view, path):
    with view.expect_download() as download:
        view.keyboard.press("x")
    download.value.save_as(path)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_findings_and_areas_come_worst_first_with_crops_of_the_worst(predicted, tmp_path):  # noqa: F811
    path, table = write_findings_page(tmp_path, predicted, pictures=3, min_area_m2=0)
    html = path.read_text(encoding="utf-8")
    rows = rows_of(html)
    with table.open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == [row["id"] for row in rows]
    assert [row["wrong_px"] for row in rows] == sorted((row["wrong_px"] for row in rows), reverse=True)
    assert [row["picture"] for row in rows[:4]] == [0, 1, 2, None]
    assert {row["mask"] for row in rows} == {0, 1} and AREAS["FN"] in {row["kind"] for row in rows}
    assert all(32.9 < row["west"] <= row["lon"] <= row["east"] < 33.1 for row in rows)
    assert max(row["right"] for row in rows) <= 230 and max(row["bottom"] for row in rows) <= 150


def test_the_overview_is_put_together_from_review_tiles(judged, tmp_path):  # noqa: F811
    thumbs = {name: {"thumb": encoded(Image.new("RGB", (64, 64), name), "JPEG")} for name in ("red", "lime")}
    tiles = [
        {"tile": name, "left": left, "top": 0, "right": left + 50, "bottom": 100}
        for name, left in (("red", 0), ("lime", 50), ("black", 100))
    ]
    (judged / "scene" / "review.json").write_text(json.dumps({"tiles": tiles, "pictures": thumbs}))
    missed_alone(judged)
    overview = content(write_findings_page(tmp_path, judged)[0].read_text(encoding="utf-8"))["overviews"][0]
    assert (overview["width"], overview["height"]) == (150, 100)
    picture = Image.open(io.BytesIO(base64.b64decode(overview["image"])))
    red, lime, unknown = (picture.getpixel((column, 50)) for column in (25, 75, 125))
    assert red[0] > 200 > red[1] + 150 and lime[1] > 200 > lime[0] + 150 and min(unknown) > 200


def test_an_area_is_listed_only_where_no_object_is(predicted):  # noqa: F811
    masks = judged_folders(predicted)[:1]
    found = make_findings(masks, areas=True)
    assert [each for each in found if each.kind not in AREAS.values()] == make_findings(masks)
    missed = shapely.union_all([each.outline_px for each in found if each.kind in ("missed", "invented")])
    areas = [each for each in found if each.kind in AREAS.values()]
    assert areas and all(not missed.buffer(-1).contains(each.outline_px) for each in areas)


@pytest.mark.parametrize("block", [1, 3, 2000])
def test_the_worst_are_found_without_reading_the_rest(predicted, block, monkeypatch):  # noqa: F811
    masks = judged_folders(predicted)
    everything = make_findings(masks, areas=True)
    monkeypatch.setattr(layer_rows, "_BLOCK", block)
    assert len(everything) > 8 and make_findings(masks, areas=True) == everything
    for most in (1, 5, len(everything) - 1):
        assert make_findings(masks, areas=True, most=most) == everything[:most]


def test_the_page_needs_no_network_and_names_are_text():
    html = page(5, source=HOSTILE)
    assert is_without_network(html)
    assert content(html)["masks"][0]["source"] == HOSTILE


def test_review_by_keyboard_survives_a_reload_and_exports_harmless_rows(opened, tmp_path):
    view = opened(saved(tmp_path, page(12, source=HOSTILE)))
    for key in ("1", "2", "j", "3", "k", "ArrowDown", "o", "o"):
        view.keyboard.press(key)
    assert view.evaluate("window.hacked") is None
    assert view.locator("#done").inner_text().startswith("3 of 12 reviewed: 1 right, 1 wrong, 1 unsure")
    rows = exported(view, tmp_path / "answers.csv")
    assert [(row["id"][-1], row["verdict"]) for row in rows] == [("0", "right"), ("1", "wrong"), ("3", "unsure")]
    assert rows[0]["source"].startswith("'=cmd") and rows[0]["lat"].startswith("27.6")
    assert len((tmp_path / "answers.csv").read_text(encoding="utf-8").splitlines()) == 4, "a row is a line"
    view.reload()
    assert view.locator("#done").inner_text().startswith("3 of 12")
    view.select_option("#kind-filter", "missed")
    assert view.locator("#shown").inner_text() == "3 of 12 findings"
    view.select_option("#verdict-filter", "none")
    assert view.locator("#shown").inner_text() == "2 of 12 findings"


def test_screen_readers_hear_the_row_and_links_lead_to_the_place(opened, tmp_path):
    view = opened(saved(tmp_path, page(12)))
    view.keyboard.press("j")
    active = view.locator("#rows").get_attribute("aria-activedescendant")
    row = view.locator(f"#{active}")
    assert row.get_attribute("aria-label") == "2: missed, FN, 1.0 m², P(error) 0.89"
    assert (row.get_attribute("aria-posinset"), row.get_attribute("aria-setsize")) == ("2", "12")
    fields = "[...document.querySelectorAll('input,select,button')]"
    assert view.evaluate(f"{fields}.filter(each => !each.labels?.length && !each.textContent).length") == 0
    josm, editor = (each.get_attribute("href") for each in view.locator("#links a").all())
    sides = dict(re.findall(r"(left|right|top|bottom)=([\d.]+)", josm))
    assert josm.startswith("http://127.0.0.1:8111/load_and_zoom?") and len(sides) == 4
    assert float(sides["left"]) < 85.5001 < float(sides["right"]) and float(sides["bottom"]) < 27.6 < float(sides["top"])
    assert re.fullmatch(r"https://www\.openstreetmap\.org/edit\?editor=id#map=20/27\.6\d*/85\.5\d*", editor)


def test_without_a_crs_there_are_pixels_and_no_links(opened, tmp_path):
    view = opened(saved(tmp_path, page(4, placed=False)))
    assert view.locator("#links a").count() == 0 and "100 px" in view.locator(".row").first.inner_text()


def test_twenty_thousand_findings_open_in_two_seconds(opened, tmp_path):
    path = saved(tmp_path, page(20_000))
    taken = []
    # Another program may have the processor once.
    for _ in range(3):
        started = time.perf_counter()
        view = opened(path)
        assert view.locator("#shown").inner_text() == "20000 of 20000 findings"
        taken.append(time.perf_counter() - started)
    assert min(taken) < 2
    assert view.locator(".row").count() < 40
    view.locator("#rows").evaluate("box => { box.scrollTop = box.scrollHeight; }")
    view.wait_for_selector("#row-20000")


def test_verdicts_of_the_page_mend_the_layer(judged, opened, tmp_path):  # noqa: F811
    """From a judged folder over the page in a browser, its export and `segassess verdicts` to the mended layer."""
    scene = judged / "scene"
    about = {"mean_error": [0.1, 0.8], "expected_errors_px": [10.0, 80.0], "area_m2": [25.0, 25.0]}
    write(scene / "objects.gpkg", [box(10, 10), box(50, 50)], object=[1, 7], verdict=["right", "missed"], **about)
    write(
        scene / "errors.gpkg",
        [box(12, 10, 5, 5), box(50, 50)],
        error=[1, 2],
        object=[1, 0],
        quality=["FP", "FN"],
        form=["area", "area"],
        **about,
    )
    polygons = geopandas.read_file(scene / "polygons.gpkg", layer="polygons")
    polygons["expected_fp_px"], polygons["area_m2"] = [90.0, 50.0, 60.0, 1.0], 25.0
    polygons.to_file(scene / "polygons.gpkg", layer="polygons")
    queue_tool.main([f"input={judged}", "to=page"])
    view = opened(judged / "page" / "findings.html")
    kinds = [row["kind"] for row in rows_of((judged / "page" / "findings.html").read_text(encoding="utf-8"))]
    assert kinds == ["invented", "missed", "invented", "shifted", "area too much"]
    for key in ("2", "1", "1", "3", "1"):
        view.keyboard.press(key)
    assert len(exported(view, tmp_path / "answers.csv")) == 5
    verdicts_tool.main([f"queue={judged / 'page'}", f"answers={tmp_path / 'answers.csv'}"])
    mend_tool.main([f"input={judged}", f"decisions={judged / 'page' / 'verdicts.csv'}", "drop=1", "add=1", "move=false"])
    changes = geopandas.read_file(judged / "mended" / "changes.gpkg", layer="changes")
    assert changes["segassess_change"].tolist() == ["dropped", "added"] and changes["segassess_feature"].tolist()[0] == 4


def test_answers_are_not_overwritten(predicted, tmp_path):  # noqa: F811
    queue_tool.main([f"input={predicted}", "to=page", f"output={tmp_path}", "min_area=0"])
    table = (tmp_path / "findings.csv").read_text().splitlines()
    (tmp_path / "findings.csv").write_text("\n".join([table[0], table[1] + "yes"]))
    with pytest.raises(RequestError, match="has answers"):
        queue_tool.main([f"input={predicted}", "to=page", f"output={tmp_path}"])


def test_an_image_that_cannot_be_read_costs_the_pictures_only(judged, tmp_path):  # noqa: F811
    missed_alone(judged)
    (tmp_path / "scene.tif").write_bytes(b"no image")
    rows = rows_of(write_findings_page(tmp_path, judged)[0].read_text(encoding="utf-8"))
    assert [(row["kind"], row["picture"]) for row in rows] == [("missed", None)]


def test_pages_beside_each_other_are_linked_and_others_are_not(predicted, tmp_path):  # noqa: F811
    rows = [{"estimated_iou": 0.5, "error_share": 0.1, "error_area_px": 5.0}]
    write_json(tmp_path / "mask" / "review.json", {"name": "<b>", "source": "=1+1", "crs": None, "tiles": [], "pictures": {}})
    link = r'<a href="([^"]+)">'
    for others in (False, True):
        write_page(tmp_path, [tmp_path / "mask"], rows, "", 0, PAGE if others else None)
        found = re.findall(link, (tmp_path / "report.html").read_text())
        assert found == (["findings.html"] if others else [])
    write_findings_page(tmp_path, predicted)
    assert re.findall(link, (tmp_path / "findings.html").read_text()) == ["report.html"]
    write_findings_page(tmp_path / "alone", predicted)
    assert re.findall(link, (tmp_path / "alone" / "findings.html").read_text()) == []


def test_verdicts_stay_when_a_link_appears():
    findings = [finding(number) for number in range(3)]
    alone = render_findings_page(findings, {}, {})
    linked = render_findings_page(findings, {}, {}, "report \u202e&<b>.html")
    assert content(alone)["id"] == content(linked)["id"]
    assert '<a href="report%20%E2%80%AE%26%3Cb%3E.html">' in linked


def test_the_link_leads_to_the_other_page(opened, tmp_path):
    (tmp_path / "report.html").write_text(render_review_page([], "", [], 0, "findings.html"), encoding="utf-8")
    path = tmp_path / "findings.html"
    path.write_text(render_findings_page([finding(0)], {}, {}, "report.html"), encoding="utf-8")
    view = opened(path)
    view.click("header a")
    assert view.url == (tmp_path / "report.html").as_uri()
    view.click("header a")
    assert view.url == path.as_uri()
