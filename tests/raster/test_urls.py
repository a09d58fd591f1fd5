"""Inputs by URL, from a server of S3 on this machine: what is read, how often, and what is said of what fails."""

import itertools
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from PIL import Image

from segassess.errors import InputError, RequestError
from segassess.raster import Grid, Rendering, VectorMask, open_image, open_mask, read_image
from segassess.raster.pairs import find_pairs
from segassess.raster.urls import edition, forget, traffic
from tests.bucket_server import BUCKET, Fault, Log, bucket_server
from tests.cli.scenes import PLACE, write_tif

SIDE = 1500
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A COG of noise with overviews, a mask and a layer of one polygon."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (3, SIDE, SIDE)).astype(np.uint8)
    about = {"driver": "COG", "width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8", "compress": "deflate", **PLACE}
    with rasterio.open(folder / "a.tif", "w", blocksize=256, **about) as file:
        file.write(pixels)
    write_tif(folder / "m.tif", pixels[:1] // 200, **PLACE)
    box = shapely.geometry.mapping(shapely.box(10, 10, 40, 30))
    feature = {"type": "Feature", "properties": {"roof": "red"}, "geometry": box}
    (folder / "layer.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return folder


@pytest.fixture(scope="module")
def all_tests(files):
    with bucket_server() as server:
        server.put(files)
        yield server


@pytest.fixture
def server(all_tests):
    """The server with an empty log and no faults."""
    all_tests.log = Log()
    return all_tests


def key(server, files, name="a.tif"):
    """A key of its own for a file, because processes remember what they have read."""
    found = f"{next(NUMBERS)}_{name}"
    server.client.upload_file(str(files / name), BUCKET, found, ExtraArgs={"ACL": "public-read"})
    return found


def url(server, name, scheme):
    return f"s3://{BUCKET}/{name}" if scheme == "s3" else f"{server.url}/{name}"


both = pytest.mark.parametrize("scheme", ["s3", "http"])


@both
def test_no_byte_is_read_twice(scheme, server, files):
    path, before = url(server, key(server, files), scheme), traffic()
    # As windows, panel and pictures do.
    for _ in range(2):
        with open_image(path) as image:
            for top in range(0, SIDE, 512):
                for left in range(0, SIDE, 512):
                    image.read(slice(top, top + 640), slice(left, left + 640))
    answers = [answer for answer in server.log.answers if answer.request.startswith("GET") and answer.count]
    spans = sorted((answer.first, answer.first + answer.count) for answer in answers)
    assert all(first >= end for (_, end), (first, _) in itertools.pairwise(spans)), "a byte was read twice"
    read = sum(answer.count for answer in answers)
    assert 3 * SIDE**2 * 0.99 < read < (files / "a.tif").stat().st_size
    spent = traffic() - before
    assert (spent.requests, spent.read) == (len(server.log.answers), read)


@both
@pytest.mark.parametrize("kind", ["503", "cut", "slow"])
def test_what_fails_once_is_read_again(kind, scheme, server, files):
    name = key(server, files)
    with open_image(url(server, name, scheme)) as image:
        server.log.faults.append(Fault(f"GET .*{name}", kind, times=1))
        pixels, _ = image.read()
    assert server.log.faults[0].times == 0
    assert np.array_equal(pixels, read_image(files / "a.tif").pixels)


@both
@pytest.mark.parametrize("kind", ["503", "cut", "slow"])
def test_what_fails_always_is_named(kind, scheme, server, files):
    name = key(server, files)
    path = url(server, name, scheme)
    # Nor is it taken for damage of the file.
    with open_image(path, Rendering(skip_unreadable=True)) as image:
        server.log.faults.append(Fault(f"GET .*{name}", kind))
        with pytest.raises(InputError, match=rf"^{path} cannot be read to its end \(.*\); try again later"):
            image.read()


@both
@pytest.mark.parametrize("kind", ["503", "slow"])
def test_a_server_that_is_down_is_named(kind, scheme, server, files):
    path = url(server, key(server, files), scheme)
    server.log.faults.append(Fault("GET|HEAD", kind))
    with pytest.raises(InputError, match=rf"^{path} .*try again later"):
        read_image(path)


@both
def test_what_is_not_there_is_asked_for_once(scheme, server):
    path = url(server, "nothing.tif", scheme)
    with pytest.raises(InputError, match=rf"^{path} "):
        edition(path)
    assert len(server.log.answers) <= 2
    with pytest.raises(InputError, match=rf"^{path} "), open_image(path):
        pass


@both
def test_pictures_that_are_cut_off_are_not_grey(scheme, server, files):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8)).save(files / "p.jpg")
    path = url(server, key(server, files, "p.jpg"), scheme)
    server.log.faults.append(Fault("GET .*p.jpg", "cut", times=1))
    assert np.array_equal(read_image(path).pixels, read_image(files / "p.jpg").pixels)
    forget(path)
    server.log.faults.append(Fault("GET .*p.jpg", "cut"))
    with pytest.raises(InputError, match=f"^{path} cannot be read"):
        read_image(path)


def test_a_file_that_was_replaced_is_read_anew(server, files):
    path = f"s3://{BUCKET}/{(name := key(server, files, 'm.tif'))}"
    first = edition(path)
    with open_image(path) as image:
        before, _ = image.read()
    write_tif(files / "new" / "m.tif", 250 * np.ones((1, SIDE, SIDE), np.uint8), **PLACE)
    server.client.upload_file(str(files / "new" / "m.tif"), BUCKET, name)
    assert edition(path) != first
    with open_image(path) as image:
        assert not np.array_equal(image.read()[0], before)


@both
def test_layers_are_fetched_once(scheme, server, files):
    path = url(server, key(server, files, "layer.geojson"), scheme)
    server.log.faults.append(Fault("GET .*layer", "cut", times=1))
    with rasterio.open(files / "a.tif") as dataset:
        grid = Grid(Grid.of(dataset).height, Grid.of(dataset).width, None)
    mask = VectorMask(path, grid)
    assert mask.read()[0].sum() == 600
    assert mask.attributes(mask.features)["roof"].tolist() == ["red"]
    assert [answer.status for answer in server.log.of("GET .*layer")] == [200, 200]
    server.log.faults.append(Fault("GET .*layer", "cut"))
    other = url(server, key(server, files, "layer.geojson"), scheme)
    with pytest.raises(InputError, match=f"^{other} cannot be read"), open_mask(other, grid):
        pass


def as_tuples(found):
    return [(pair.name, pair.image, dict(pair.masks)) for pair in found.pairs]


class TestPairs:
    """Work lists in a bucket."""

    HERE = f"s3://{BUCKET}/work"

    @pytest.fixture(autouse=True)
    def work(self, server, files):
        self.server = server
        for name in ("images/a.tif", "images/b.tif", "images/b.txt", "masks/a.tif", "masks/b.gpkg", "masks/b.json"):
            self.put(name, b"")
        self.both = [
            (name, f"{self.HERE}/images/{name}.tif", {"masks": f"{self.HERE}/masks/{mask}"})
            for name, mask in (("a", "a.tif"), ("b", "b.gpkg"))
        ]

    def put(self, name, content):
        self.server.client.put_object(Bucket=BUCKET, Key=f"work/{name}", Body=content)
        return f"{self.HERE}/{name}"

    def listed(self, name, content):
        return as_tuples(find_pairs(self.put(name, content)))

    def test_prefixes(self):
        assert as_tuples(find_pairs(f"{self.HERE}/images/", f"{self.HERE}/masks/")) == self.both

    def test_patterns(self):
        assert as_tuples(find_pairs(f"{self.HERE}/images/*.tif", f"{self.HERE}/m*/*")) == self.both

    def test_one_source_per_folder(self):
        for source in ("x", "y"):
            self.put(f"all/{source}/a.tif", b"")
        ((_, _, masks),) = as_tuples(find_pairs(f"{self.HERE}/images/*.tif", f"{self.HERE}/all/"))
        assert set(masks) == {"x", "y"}

    @pytest.mark.parametrize("place", ["nothing/", "*/nothing.tif"])
    def test_nothing_there(self, place):
        with pytest.raises(RequestError, match=f"image={self.HERE}/nothing/|image={self.HERE}/.*nothing"):
            find_pairs(f"{self.HERE}/{place}", f"{self.HERE}/masks/")

    def test_csv(self):
        content = f"image,mask\nimages/a.tif,{self.HERE}/masks/a.tif\n".encode()
        assert self.listed("pairs.csv", content) == [("a", *self.both[0][1:2], {"mask": f"{self.HERE}/masks/a.tif"})]

    def test_parquet(self, tmp_path):
        columns = {"Image": ["images/a.tif", "images/b.tif"], "mask": ["masks/a.tif", None], "name": ["first", None], "n": [1, 2]}
        pq.write_table(pa.table(columns), tmp_path / "pairs.parquet")
        path = self.put("pairs.parquet", (tmp_path / "pairs.parquet").read_bytes())
        found = find_pairs(path)
        assert as_tuples(found) == [("first", self.both[0][1], {"mask": f"{self.HERE}/masks/a.tif"})]
        assert [failure.name for failure in found.failures] == ["b"]

    def test_items_of_stac(self):
        def item(name, **assets):
            about = {key: {"href": href} for key, href in assets.items()}
            return {"type": "Feature", "stac_version": "1.0.0", "id": name, "assets": about, "links": []}

        first = item("one", visual="images/a.tif", thumbnail="t.png", mask="masks/a.tif")
        second = item("two", image="../images/b.tif", labels=f"{self.HERE}/masks/b.gpkg")
        third = item("three", image="images/a.tif")
        expected = [
            ("one", self.both[0][1], {"mask": f"{self.HERE}/masks/a.tif"}),
            ("two", self.both[1][1], {"mask": f"{self.HERE}/masks/b.gpkg"}),
        ]
        self.put("items/two.json", json.dumps(second).encode())
        second_here = {**second, "links": [{"rel": "self", "href": f"{self.HERE}/items/two.json"}]}
        items = {"type": "FeatureCollection", "features": [first, second_here, third]}
        found = find_pairs(self.put("items.json", json.dumps(items).encode()))
        assert as_tuples(found) == expected
        assert [failure.name for failure in found.failures] == ["three"]
        self.put("one.json", json.dumps(first).encode())
        links = [{"rel": "root", "href": "x"}, {"rel": "item", "href": "./one.json"}, {"rel": "item", "href": "items/two.json"}]
        collection = {"type": "Collection", "stac_version": "1.0.0", "links": links}
        assert self.listed("collection.json", json.dumps(collection).encode()) == expected

    @pytest.mark.parametrize("name", ["pairs.csv", "pairs.parquet", "items.json"])
    def test_a_list_that_is_none(self, name):
        with pytest.raises(RequestError, match=f"{name}"):
            self.listed(name, b"no list")

    def test_a_list_that_is_not_there(self):
        with pytest.raises(RequestError, match=rf"^{self.HERE}/other.csv does not exist"):
            find_pairs(f"{self.HERE}/other.csv")


@pytest.mark.parametrize(
    "address", ["https://me:hush@host/a.tif", "https://host/a.tif?X-Amz-Signature=hush", "az://c/a.tif?sig=hush"]
)
def test_secrets_are_refused_and_not_repeated(address, tmp_path):
    with pytest.raises(RequestError) as refused:
        find_pairs(address, "s3://bucket/m.tif")
    (tmp_path / "pairs.csv").write_text(f"image,mask\n{address},s3://bucket/m.tif\n")
    (pair,) = find_pairs(tmp_path / "pairs.csv").pairs
    assert "hush" not in str(refused.value) and "a.tif" in str(refused.value)
    for use in (edition, read_image):
        with pytest.raises(InputError) as refused:
            use(pair.image)
        assert "hush" not in str(refused.value) and "a.tif" in str(refused.value)


def test_a_package_that_is_missing_is_named():
    with pytest.raises(RequestError, match=r"gcsfs is not installed.*pip install gcsfs"):
        edition("gs://bucket/a.tif")
