import pytest
from PIL import Image

from segassess.errors import InputError
from segassess.experiments.training_curves import main, over_seeds, read_curve


def run_folder(folder, rows, views=2):
    for name in (".hydra", "tables"):
        (folder / name).mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(f"sampling: {{images_per_batch: 8, views: {views}}}\n")
    lines = ["epoch,step,valid/fp_fn_miou", *(f"{epoch},{step},{value}" for epoch, (step, value) in enumerate(rows))]
    (folder / "tables" / "history.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_runs_become_curves_over_crops(tmp_path, capsys):
    first = run_folder(tmp_path / "first", [(100, 0.2), (200, ""), (300, 0.4)])
    second = run_folder(tmp_path / "second", [(100, 0.3), (200, 0.35)])
    assert read_curve(first) == {1600: 0.2, 4800: 0.4}
    crops, values = over_seeds([read_curve(first), read_curve(second)])
    assert crops == [1600] and values.tolist() == [[0.2], [0.3]]
    picture = tmp_path / "curve.png"
    main([str(picture), f"twin={first}", f"twin={second}", f"aqsnet={second}"])
    printed = capsys.readouterr().out
    assert "| twin | 2 | 1,600 | 0.250 | 0.071 |" in printed and "| aqsnet | 1 | 3,200 | 0.350 |  |" in printed
    assert Image.open(picture).size[0] > 300


def test_what_is_no_training_is_refused(tmp_path, capsys):
    with pytest.raises(InputError, match="is no folder of a training"):
        read_curve(tmp_path)
    with pytest.raises(InputError, match="nothing can be drawn"):
        read_curve(run_folder(tmp_path / "early", [(100, "")]))
    with pytest.raises(InputError, match=r"set sampling\.views"):
        read_curve(run_folder(tmp_path / "all", [(100, 0.2)], views="null"))
    for arguments in (["a.png", "twin"], ["a.png", f"twin={tmp_path}"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2 and "Traceback" not in capsys.readouterr().err
