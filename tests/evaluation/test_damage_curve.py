import json

import pytest
from PIL import Image

from segassess.errors import InputError
from segassess.evaluation.damage_curve import draw_curves, main, read_curves


def test_results_become_curves(tmp_path):
    # 200 polygons were on the image; of the largest share that was asked for only a part could be done.
    for method, share, done, fp in (("none", 0.9, 24, 0.2), ("none", 0.06, 4, 0.1), ("layer", 0.06, 4, 0.5)):
        folder = tmp_path / f"{method}_{share}"
        folder.mkdir()
        verdicts = {"kept": {"right": 190 - 2 * done, "wrong": 10}, "shifted": {"wrong": done}, "invented": {"right": done}}
        content = {"pixels": {"FP": fp, "FN": 0.3}, "verdicts": verdicts, "found": {"FN": {"removed": {"pieces": done}}}}
        (folder / "damage.json").write_text(json.dumps(content))
    curves = read_curves(tmp_path)
    assert list(curves["layer"].items()) == [pytest.approx((0.06, 0.4))]
    assert list(curves["none"]) == pytest.approx([0.06, 0.36])
    draw_curves(tmp_path / "curve.png", curves)
    assert Image.open(tmp_path / "curve.png").size[0] > 300


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    with pytest.raises(InputError, match="has no results"):
        read_curves(tmp_path)
    for arguments in ([], [str(tmp_path)]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2 and "Traceback" not in capsys.readouterr().err
