import numpy as np
import pytest
import shapely
import shapely.affinity

from segassess.findings.by_reference import LARGEST_PX, SHIFT_COLUMNS, add_reference, aligned
from segassess.findings.findings import Findings
from segassess.findings.table import FindingsTable
from segassess.raster.vectors import burn

SIZE = 300, 400
# Pixels of half a metre, north up.
GROUND = np.array([[0.5, 0.0], [0.0, -0.5]])
TRUE = [shapely.box(left, top, left + 30, top + 20) for top in (40, 120, 200) for left in (40, 140, 240, 320)]
OFFSET = 7, -5  # of what is shifted, to where it belongs


def table(verdicts, shapes):
    columns = {"object": np.arange(1, len(shapes) + 1), "verdict": np.array(verdicts, object)}
    columns["top"] = shapely.bounds(np.array(shapes, object))[:, 1] if len(shapes) else np.zeros(0)
    return FindingsTable(columns, np.array(shapes, object))


def judged(shapes, verdicts, size=SIZE, ground=GROUND, true=TRUE):
    height, width = size
    mask = burn(
        np.array([shape for shape, verdict in zip(shapes, verdicts, strict=True) if verdict != "missed"]), 0, 0, width, height
    )
    reference = np.where(burn(np.array(true), 0, 0, width, height), np.float32(0.9), np.float32(0.05))
    findings = Findings(table([], []), table(verdicts, shapes))
    return add_reference(findings, lambda rows, columns: (mask[rows, columns], reference[rows, columns]), size, ground)


def test_a_shifted_object_gets_its_offset_and_verdict():
    right, shifted, invented = TRUE[0], shapely.affinity.translate(TRUE[5], -OFFSET[0], -OFFSET[1]), shapely.box(5, 260, 35, 280)
    found = judged([right, shifted, invented], ["right", "partly wrong", "wrong"]).objects.columns
    assert list(found["verdict"]) == ["right", "shifted", "wrong"]
    assert (found["shift_x_px"][1], found["shift_y_px"][1]) == OFFSET
    # To the east, and up the image is to the north.
    assert (found["shift_x_m"][1], found["shift_y_m"][1]) == (3.5, 2.5)
    assert found["shift_gain"][0] == 0 and found["shift_gain"][1] > 0.2


def test_without_a_pixel_size_offsets_are_in_pixels_only():
    found = judged([shapely.affinity.translate(TRUE[5], -OFFSET[0], -OFFSET[1])], ["wrong"], ground=None).objects.columns
    assert (found["shift_x_px"][0], found["shift_y_px"][0]) == OFFSET and found["verdict"][0] == "shifted"
    assert np.isnan([found["shift_x_m"][0], found["shift_y_m"][0]]).all()


def test_an_object_beside_another_one_of_the_mask_is_not_moved_onto_it():
    beside = shapely.affinity.translate(TRUE[5], 31, 0)
    found = judged([TRUE[5], beside], ["right", "wrong"]).objects.columns
    assert found["verdict"][1] == "wrong"


def test_a_layer_that_is_shifted_as_a_whole():
    layer = [shapely.affinity.translate(shape, 3, 4) for shape in TRUE]
    found = judged(layer, ["partly wrong"] * len(layer))
    assert (found.shift.x_px, found.shift.y_px, found.shift.x_m, found.shift.y_m) == (-3, -4, -1.5, 2)
    assert found.shift.is_clear
    moved = aligned(FindingsTable({}, np.array(layer, object)), found.shift).outlines()
    assert all(one.equals(two) for one, two in zip(moved, TRUE, strict=True))
    assert not judged(TRUE, ["right"] * len(TRUE)).shift.is_clear


def test_missed_objects_get_the_outline_that_the_reference_map_gives_them():
    core = shapely.box(150, 125, 160, 130)
    found = judged([TRUE[0], core], ["right", "missed"])
    assert list(found.missed.columns["object"]) == [2]
    (outline,) = found.missed.outlines()
    assert outline.intersection(TRUE[5]).area / outline.union(TRUE[5]).area > 0.9
    assert len(outline.exterior.coords) == 5
    assert found.missed.columns["area_m2"][0] == pytest.approx(outline.area / 4)
    assert found.missed.columns["probability"][0] == pytest.approx(0.9)
    assert np.isnan(found.objects.columns["shift_gain"][1])


def test_parts_of_one_building_get_one_outline_and_no_outline_reaches_far():
    parts = [shapely.box(142, 122, 150, 138), shapely.box(158, 122, 168, 138)]
    assert list(judged(parts, ["missed", "missed"]).missed.columns["object"]) == [1]
    yard = shapely.box(20, 20, 380, 280)
    (outline,) = judged([parts[0]], ["missed"], true=[yard]).missed.outlines()
    assert outline.area < 40 * 50


def test_what_agrees_best_at_the_limit_of_the_search_is_not_called_shifted():
    # 10 px are 5 m.
    for offset, verdict in ((8, "shifted"), (10, "wrong"), (14, "wrong")):
        found = judged([shapely.affinity.translate(TRUE[5], offset, 0)], ["wrong"]).objects.columns
        assert found["verdict"][0] == verdict
        assert np.hypot(found["shift_x_px"][0], found["shift_y_px"][0]) <= 10


def test_large_objects_and_empty_tables():
    long = shapely.box(0, 10, LARGEST_PX + 1, 20)
    found = judged([long], ["wrong"], size=(40, LARGEST_PX + 100), true=[long])
    assert all(np.isnan(found.objects.columns[name][0]) for name in SHIFT_COLUMNS) and found.shift is None
    assert not len(judged([], []).missed)


def test_objects_at_the_border():
    corner = shapely.box(0, 0, 25, 18)
    found = judged([shapely.affinity.translate(corner, 6, 4)], ["wrong"], true=[corner]).objects.columns
    assert (found["shift_x_px"][0], found["shift_y_px"][0]) == (-6, -4)


def test_a_missed_object_does_not_reach_through_the_gap_between_others():
    # A true object, and one more beyond a gap of 4 px between two objects of the mask.
    near, far, gap = shapely.box(100, 100, 130, 130), shapely.box(100, 160, 130, 190), shapely.box(113, 130, 117, 160)
    beside = [shapely.box(90, 132, 113, 158), shapely.box(117, 132, 140, 158)]
    found = judged([*beside, shapely.box(110, 110, 120, 120)], ["right", "right", "missed"], true=[near, far, gap, *beside])
    (outline,) = found.missed.outlines()
    assert outline.intersection(near).area > 0.9 * near.area and outline.intersection(far).area == 0
