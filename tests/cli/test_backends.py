"""Backends beside each other on a small scene."""

from typing import get_args

import numpy as np
import pytest
from PIL import Image

from segassess.cli import backends
from segassess.options.assessor import Backend
from segassess.synthetic import make_scene


@pytest.mark.slow
@pytest.mark.own_process
def test_a_row_for_each_backend(tmp_path, capsys):
    scene = make_scene(3, (128, 128))
    Image.fromarray(scene.image).save(tmp_path / "a.png")
    Image.fromarray(np.roll(scene.truth["building"], 6, axis=1).astype(np.uint8) * 255).save(tmp_path / "b.png")
    backends.main([f"image={tmp_path / 'a.png'}", f"mask={tmp_path / 'b.png'}", f"graphs={tmp_path / 'graphs'}"])
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines[2:]] == list(get_args(Backend))
    assert all(float(line[1]) > 0 for line in lines[2:])
    changed = {line[0]: float(line[3].rstrip("%")) for line in lines[2:]}
    assert changed["torch"] == 0 and changed["onnx"] < 0.1 and changed["openvino_int8"] <= 0.5
    assert len(list((tmp_path / "graphs").glob("*.onnx"))) == 2


@pytest.mark.parametrize(("given", "said"), [(["image=a.tif"], "image=FILE"), (["image=a.tif", "mask=b.tif"], "a.tif")])
def test_a_wrong_request_is_one_sentence(given, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        backends.main(given)
    assert caught.value.code == 2 and said in capsys.readouterr().err
