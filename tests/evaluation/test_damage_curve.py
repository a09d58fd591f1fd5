import json

import pytest
from PIL import Image

from segassess.errors import InputError
from segassess.evaluation.damage_curve import draw_curves, main, read_curves


def test_results_become_curves(tmp_path):
    for method, share, fp in (("none", 0.4, 0.2), ("none", 0.05, 0.1), ("layer", 0.05, 0.5)):
        folder = tmp_path / f"{method}_{share}"
        folder.mkdir()
        (folder / "damage.json").write_text(json.dumps({"pixels": {"FP": fp, "FN": 0.3}}))
    curves = read_curves(tmp_path)
    assert curves["layer"] == {0.05: pytest.approx(0.4)} and list(curves["none"]) == [0.05, 0.4]
    draw_curves(tmp_path / "curve.png", curves)
    assert Image.open(tmp_path / "curve.png").size[0] > 300


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    with pytest.raises(InputError, match="has no results"):
        read_curves(tmp_path)
    for arguments in ([], [str(tmp_path)]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2 and "Traceback" not in capsys.readouterr().err
