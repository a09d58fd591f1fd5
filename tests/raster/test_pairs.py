from pathlib import Path

import pytest

from segassess.errors import RequestError
from segassess.raster.pairs import find_pairs


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def touch(*paths):
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()


def as_tuples(found):
    return [(pair.name, pair.image, dict(pair.masks)) for pair in found.pairs]


def refuses(match, *request):
    with pytest.raises(RequestError, match=match) as error:
        find_pairs(*request)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


class TestFiles:
    def test_two_files(self):
        touch("a.tif", "drawn/b.png")
        found = find_pairs("a.tif", "drawn/b.png")
        assert as_tuples(found) == [("a", "a.tif", {"b": "drawn/b.png"})]
        assert found.failures == () and found.unmatched == ()

    def test_any_suffix(self):
        touch("a.jpf", "b.bil")
        assert as_tuples(find_pairs("a.jpf", "b.bil")) == [("a", "a.jpf", {"b": "b.bil"})]

    def test_remote_files_are_left_to_gdal(self):
        image, mask = "/vsizip/nowhere.zip/a.tif", "https://example.org/m.tif?token=x/y.z"
        assert as_tuples(find_pairs(image, mask)) == [("a", image, {"m": mask})]
        assert find_pairs(mask, image).pairs[0].name == "m"

    @pytest.mark.parametrize(("given", "name"), [("a b(1).tif", "a_b_1"), ("..x.tif", "x"), ("ü-1.2.tif", "ü-1.2")])
    def test_names_are_safe(self, given, name):
        touch(given, "mask.tif")
        assert find_pairs(given, "mask.tif").pairs[0].name.rstrip("_") == name

    def test_brackets_in_a_file_name_are_no_pattern(self):
        touch("a[1].tif", "m.tif")
        assert find_pairs("a[1].tif", "m.tif").pairs[0].image == "a[1].tif"

    def test_refusals(self):
        touch("a.tif")
        refuses("image=b.tif does not exist", "b.tif", "a.tif")
        refuses("mask=b.tif does not exist", "a.tif", "b.tif")
        refuses("are the same file", "a.tif", "a.tif")
        refuses("image= is not set", None, "a.tif")
        refuses("mask= is not set", "a.tif", None)


class TestSeveralMasks:
    def test_of_one_image(self):
        touch("a.tif", "m/b.tif", "n/b.gpkg", "c.geojson")
        found = find_pairs("a.tif", ["m/b.tif", "n/b.gpkg", "c.geojson", "c.geojson|layername=roofs"])
        masks = {"m_b": "m/b.tif", "n_b": "n/b.gpkg", "c": "c.geojson", "roofs": "c.geojson|layername=roofs"}
        assert as_tuples(found) == [("a", "a.tif", masks)]

    def test_refusals(self):
        touch("images/a.tif", "b.tif")
        refuses(r"image=images must be one file", "images", ["b.tif"])
        refuses(r"mask=c\.tif does not exist", "b.tif", ["images/a.tif", "c.tif"])
        refuses(r"mask= names images/a\.tif twice", "b.tif", ["images/a.tif", "images/a.tif"])
        refuses(r"does not exist", "b.tif", [])


class TestFolders:
    def test_polygons_are_masks_and_no_images(self):
        touch("image/a.tif", "image/a.gpkg", "mask/a.gpkg", "mask/b.shp")
        found = find_pairs("image", "mask")
        assert as_tuples(found) == [("a", "image/a.tif", {"mask": "mask/a.gpkg"})] and found.unmatched == ("mask/b.shp",)

    def test_matched_by_stem(self):
        touch("i/b.tif", "i/a.tif", "m/a.png", "m/b.png")
        assert as_tuples(find_pairs("i", "m")) == [("a", "i/a.tif", {"m": "m/a.png"}), ("b", "i/b.tif", {"m": "m/b.png"})]

    def test_sidecars_hidden_files_and_subfolders_are_passed_over(self):
        touch("i/a.tif", "i/a.tif.aux.xml", "i/a.tfw", "i/a.csv", "i/.b.tif", "i/sub/c.tif", "i/README", "m/a.TIF", "m/a.tif.ovr")
        found = find_pairs("i", "m")
        assert as_tuples(found) == [("a", "i/a.tif", {"m": "m/a.TIF"})]
        assert found.failures == () and found.unmatched == ()

    def test_missing_mask_is_a_failure_and_missing_image_is_named(self):
        touch("i/a.tif", "i/b.tif", "m/a.tif", "m/c.tif")
        found = find_pairs("i", "m")
        assert [pair.name for pair in found.pairs] == ["a"]
        assert [(failure.name, failure.reason) for failure in found.failures] == [("b", "i/b.tif has no mask of the same name.")]
        assert found.unmatched == ("m/c.tif",)

    def test_sources_in_subfolders(self):
        touch("i/a.tif", "i/b.tif", "preds/ocrnet/a.png", "preds/unet/a.png", "preds/unet/b.png", "preds/.cache/a.png")
        assert as_tuples(find_pairs("i", "preds")) == [
            ("a", "i/a.tif", {"ocrnet": "preds/ocrnet/a.png", "unet": "preds/unet/a.png"}),
            ("b", "i/b.tif", {"unet": "preds/unet/b.png"}),
        ]

    def test_one_image_and_a_folder_of_masks(self):
        touch("a.tif", "m/a.tif", "m/b.tif")
        found = find_pairs("a.tif", "m")
        assert as_tuples(found) == [("a", "a.tif", {"m": "m/a.tif"})] and found.unmatched == ("m/b.tif",)

    def test_refusals(self):
        touch("i/a.tif", "m/b.tif", "twice/a.tif", "twice/a.png", "empty/readme.txt")
        refuses("mask=empty .*tif", "i", "empty")
        refuses(r"no names in common \(such as a.tif and b.tif\)", "i", "m")
        refuses(r"twice/a.png and twice/a.tif have the same name", "twice", "i")
        refuses(r"are both masks of i/a.tif", "i", "twice")
        refuses("image=i and mask=i match the same files", "i", "i")


class TestPatterns:
    def test_matched_by_stem(self):
        touch("i/a.tif", "i/b.tif", "i/x.png", "m/a.tif", "m/b.tif")
        assert [pair.name for pair in find_pairs("i/*.tif", "m/*.tif").pairs] == ["a", "b"]

    def test_absolute(self, tmp_path):
        touch("i/a.tif", "m/a.tif")
        assert find_pairs(tmp_path / "i" / "*.tif", tmp_path / "m" / "*").pairs[0].masks == {"m": str(tmp_path / "m" / "a.tif")}

    def test_matched_by_what_the_wildcards_stand_for(self):
        touch("d/a_rgb.tif", "d/b_rgb.tif", "d/mask_b.png", "d/mask_a.png")
        assert as_tuples(find_pairs("d/*_rgb.*", "d/mask_*.png")) == [
            ("a_rgb", "d/a_rgb.tif", {"d": "d/mask_a.png"}),
            ("b_rgb", "d/b_rgb.tif", {"d": "d/mask_b.png"}),
        ]

    def test_masks_are_not_taken_for_images(self):
        touch("d/a.tif", "d/a_mask.tif")
        assert as_tuples(find_pairs("d/*.tif", "d/*_mask.tif")) == [("a", "d/a.tif", {"d": "d/a_mask.tif"})]

    def test_sources_are_folders(self):
        touch("i/a.tif", "p/one/a.tif", "p/two/a.tif")
        assert find_pairs("i/*.tif", "p/*/*.tif").pairs[0].masks == {"one": "p/one/a.tif", "two": "p/two/a.tif"}

    def test_same_stem_in_several_folders(self):
        touch("i/x/a.tif", "i/y/a.tif", "p/x/a.tif", "p/y/a.tif")
        assert as_tuples(find_pairs("i/*/*.tif", "p/**/*.tif")) == [
            ("x_a", "i/x/a.tif", {"p": "p/x/a.tif"}),
            ("y_a", "i/y/a.tif", {"p": "p/y/a.tif"}),
        ]

    def test_names_that_differ_in_case_only(self):
        touch("i/x/A.tif", "i/y/a.tif", "m/A.tif", "m/a.tif")
        names = [pair.name for pair in find_pairs("i/*/*.tif", "m/*.tif").pairs]
        assert len({name.casefold() for name in names}) == 2

    def test_nothing_found(self):
        touch("i/a.tif")
        refuses(r"image=i/\*.png contains no raster", "i/*.png", "i/*.tif")


class TestCsv:
    def write(self, text, encoding="utf-8"):
        touch("data/i/a.tif", "data/j/a.tif", "data/m/a.tif", "data/n/a.tif", "data/b.tif")
        Path("data/pairs.csv").write_text(text, encoding=encoding)
        return "data/pairs.csv"

    def test_paths_are_relative_to_the_csv(self):
        found = find_pairs(self.write("image,mask\ni/a.tif,m/a.tif\nb.tif,n/a.tif\n"))
        assert as_tuples(found) == [
            ("a", "data/i/a.tif", {"mask": "data/m/a.tif"}),
            ("b", "data/b.tif", {"mask": "data/n/a.tif"}),
        ]

    def test_absolute_and_remote_paths(self, tmp_path):
        found = find_pairs(self.write(f"image,mask\n{tmp_path}/data/b.tif,/vsizip/x.zip/m.tif\n"))
        assert as_tuples(found) == [("b", f"{tmp_path}/data/b.tif", {"mask": "/vsizip/x.zip/m.tif"})]

    def test_names_and_sources(self):
        rows = "image,mask,name,source\nb.tif,m/a.tif,one,unet\nb.tif,n/a.tif,one,raw\nb.tif,n/a.tif,two,\n"
        assert as_tuples(find_pairs(self.write(rows))) == [
            ("one", "data/b.tif", {"unet": "data/m/a.tif", "raw": "data/n/a.tif"}),
            ("two", "data/b.tif", {"mask": "data/n/a.tif"}),
        ]

    def test_colliding_stems_get_the_folder_and_never_a_given_name(self):
        rows = "image,mask,name\ni/a.tif,m/a.tif,\nj/a.tif,n/a.tif,\nb.tif,m/a.tif,I_a\n"
        assert [pair.name for pair in find_pairs(self.write(rows)).pairs] == ["i_a_2", "j_a", "I_a"]

    def test_as_spreadsheets_write_it(self):
        rows = "Image;Mask;\nb.tif;m/a.tif;ignored\n"
        assert as_tuples(find_pairs(self.write(rows, "utf-8-sig"))) == [("b", "data/b.tif", {"mask": "data/m/a.tif"})]

    def test_missing_files_are_failures(self):
        found = find_pairs(self.write("image,mask\nb.tif,m/a.tif\nb.tif,m/none.tif\ni/a.tif,\n"))
        assert [pair.name for pair in found.pairs] == ["b"]
        assert [failure.name for failure in found.failures] == ["b", "a"]
        assert "data/m/none.tif of row 3" in found.failures[0].reason and "has no mask" in found.failures[1].reason

    def test_refusals(self):
        refuses("image=none.csv does not exist", "none.csv")
        refuses("leave out mask=m.tif", self.write("image,mask\nb.tif,m/a.tif\n"), "m.tif")
        refuses("has the columns picture, mask; it needs image, mask", self.write("picture,mask\nb.tif,m/a.tif\n"))
        refuses("has the columns none", self.write(""))
        refuses("no pair of existing files", self.write("image,mask\n"))
        refuses(r"no pair of existing files \(such as: data/x.tif", self.write("image,mask\nx.tif,m/a.tif\n"))
        refuses("second mask of the source mask", self.write("image,mask\nb.tif,m/a.tif\nb.tif,n/a.tif\n"))
        refuses("the name one to several", self.write("image,mask,name\nb.tif,m/a.tif,one\ni/a.tif,m/a.tif,one\n"))
