import itertools

import numpy as np
import pyogrio
import pytest
import shapely

from segassess.findings import table
from segassess.findings.array_store import ArrayStore
from segassess.findings.bands import JudgedRows
from segassess.findings.findings import gather_findings
from segassess.findings.table import FindingsTable
from segassess.outputs.layers import write_layer
from segassess.quality import FN, FP, TN, TP
from tests.findings.columns import each_of


def found(arrays=None):
    """Findings of noise in chunks of 11 rows."""
    rng = np.random.default_rng(4)
    mask, wrong = (np.kron(rng.random((20, 25)) < share, np.ones((4, 4))) > 0 for share in (0.3, 0.2))
    codes = np.where(mask, np.where(wrong, FP, TP), np.where(wrong, FN, TN)).astype(np.uint8)
    error = rng.random(mask.shape)
    true, missing = np.where(mask, 1 - error, 0), np.where(mask, 0, error)
    rows = (
        JudgedRows(codes[part], mask[part], true[part], missing[part], error[part])
        for part in itertools.starmap(slice, itertools.pairwise([*range(0, 80, 11), 80]))
    )
    return gather_findings(rows, min_area=8, pixel_area_m2=0.25, arrays=arrays)


def test_findings_in_a_file_are_those_in_memory(tmp_path):
    in_memory, in_file = found(), found(ArrayStore(tmp_path))
    assert len(in_memory.errors) > 40 and len(in_memory.objects) > 20
    for name in ("errors", "objects"):
        one, other = getattr(in_memory, name), getattr(in_file, name)
        assert str(each_of(one)) == str(each_of(other))
        assert one.frame(None).equals(other.frame(None))


@pytest.mark.parametrize(("findings", "numbers"), [(7, 2**20), (20_000, 1), (20_000, 200)], ids=["count", "each", "size"])
def test_a_layer_is_written_in_parts(findings, numbers, tmp_path, monkeypatch):
    errors = found(ArrayStore(tmp_path)).errors
    write_layer(tmp_path / "whole.gpkg", errors, None)
    monkeypatch.setattr(table, "_FINDINGS", findings)
    monkeypatch.setattr(table, "_NUMBERS", numbers)
    parts = list(errors.parts())
    assert len(parts) > 3 and [place for part in parts for place in range(part.start, part.stop)] == [*range(len(errors))]
    shapes = FindingsTable({}, errors.outlines())
    assert [place for part in shapes.parts() for place in range(part.start, part.stop)] == [*range(len(errors))]
    write_layer(tmp_path / "parts.gpkg", errors, None)
    (_, _, one, values), (_, _, other, others) = (
        pyogrio.raw.read(tmp_path / f"{name}.gpkg", layer=name) for name in ("whole", "parts")
    )
    assert all(shapely.from_wkb(one) == shapely.from_wkb(other))
    assert [column.tolist() for column in values] == [column.tolist() for column in others]
