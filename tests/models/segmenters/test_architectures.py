"""Names and options of segmenters: what is resolved, what is refused, and what the command and its page say."""

import re

import pytest

from segassess.errors import ConfigError
from segassess.models.segmenters.__main__ import main
from segassess.models.segmenters.architectures import SEGMENTERS, build_segmenter, resolved_spec
from segassess.models.segmenters.size_tables import REFERENCE, parameters
from tests.conftest import ROOT


def test_none_and_absence_take_the_value_of_the_size():
    spec = resolved_spec({"name": "hrnet", "size": None, "encoder": None, "width": 64})
    assert spec == {"name": "hrnet", "size": "full", "encoder": "hrnet_w48", "pretrained": True, "width": 64}
    assert resolved_spec({"name": "hrnet", "size": "small"})["encoder"] == "efficientnet_lite0"


def test_a_specification_is_left_as_it_is():
    spec = {"name": "hrnet", "size": "small", "pretrained": False, "width": None}
    build_segmenter(spec)
    assert spec == {"name": "hrnet", "size": "small", "pretrained": False, "width": None}


def test_a_resolved_specification_does_not_depend_on_the_sizes(monkeypatch):
    spec = resolved_spec({"name": "hrnet", "size": "small"})
    other = {"small": {"encoder": "resnet18", "pretrained": False, "width": 8}}
    monkeypatch.setattr(SEGMENTERS["hrnet"], "SIZES", other)
    assert resolved_spec(spec) == spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "unet"}, r"segmenter\.name must be one of deeplabv3plus, .*, smp, not 'unet'\."),
        ({}, r"segmenter\.name must be one of .*, not None\."),
        ({"name": "hrnet", "size": "huge"}, r"segmenter\.size must be one of full, small, not 'huge'\."),
        ({"name": "hrnet", "widht": 8}, r"segmenter\.widht is not an option of hrnet; it has encoder, pretrained, width\."),
        ({"name": "hrnet", "width": 0}, r"segmenter\.width must be a whole number of 1 or more, not 0\."),
        ({"name": "hrnet", "width": True}, r"segmenter\.width must be a whole number of 1 or more, not True\."),
        ({"name": "hrnet", "pretrained": "no"}, r"segmenter\.pretrained must be true or false, not 'no'\."),
        ({"name": "hrnet", "encoder": 3}, r"segmenter\.encoder must be a name, not 3\."),
    ],
)
def test_what_does_not_exist_is_one_sentence(spec, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        build_segmenter(spec)


def test_the_page_shows_what_the_command_prints(capsys):
    page = (ROOT / "docs" / "segmenters.md").read_text()
    main([])
    printed = capsys.readouterr().out
    for name in SEGMENTERS:
        row, line = (
            next(line for line in text.splitlines() if re.match(rf"\W*{name}\W", line) and ("|" in line or "│" in line))
            for text in (page, printed)
        )
        numbers = re.findall(r"\d[\d,]+", row)
        assert numbers and numbers == re.findall(r"\d[\d,]+", line)
        assert name not in REFERENCE or f"{REFERENCE[name]:,}" in numbers


def test_counting_without_memory_counts_the_same():
    built = build_segmenter({"name": "unetformer", "size": "small", "pretrained": False})
    assert sum(parameter.numel() for parameter in built.parameters()) == parameters("unetformer", "small")
