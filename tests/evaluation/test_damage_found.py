import math

import numpy as np
import shapely

from segassess.evaluation.layer_damage import damage_found, errors_right


def boxes(*sides):
    return np.array([shapely.box(*side) if side else shapely.Polygon() for side in sides], object)


DAMAGE = boxes((0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10), None)
KINDS = ["removed", "removed", "shifted", "invented"]


def test_a_piece_is_found_if_errors_cover_half_of_it():
    errors = boxes((0, 0, 5, 10), (20, 0, 22, 10), (28, 0, 30.9, 10), (39, 0, 51, 11))
    assert damage_found(KINDS, DAMAGE, errors) == {
        "removed": {"pieces": 2, "found": 1, "recall": 0.5},
        "shifted": {"pieces": 1, "found": 1, "recall": 1.0},
    }, "a piece of another class is no piece of this one"


def test_an_error_is_right_if_damage_covers_half_of_it():
    errors = boxes((0, 0, 10, 20), (100, 0, 110, 10), (20, 0, 40, 30), (45, 2, 50, 4))
    right = errors_right(DAMAGE, errors)
    assert (right["polygons"], right["right"], right["precision"]) == (4, 2, 0.5)
    assert right["precision_of_worst"] == 1 / 3, "of the first three, as there are three pieces"


def test_nothing():
    nothing = boxes()
    assert damage_found(KINDS, DAMAGE, nothing)["removed"]["found"] == 0
    assert math.isnan(errors_right(DAMAGE, nothing)["precision"]) and errors_right(nothing, DAMAGE)["right"] == 0
