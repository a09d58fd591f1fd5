"""`predict.py` on inputs and into a folder of a bucket, on a server that fails."""

import csv
import hashlib
import io
import json
import re

import pytest

from tests.bucket_server import BUCKET, Fault, Log, bucket_server
from tests.cli.scenes import WINDOWS, write_scenes
from tests.cli.scripts import error_of, run_fresh, run_script

HEIGHTS = {"a": 60, "b": 200, "c": 90}
# Records of what was run say where.
RECORDS = "run.json", "scores.json", "findings.html"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, HEIGHTS)
    return folder


@pytest.fixture(scope="module")
def all_tests(scenes):
    with bucket_server() as server:
        server.put(scenes, "in/")
        yield server


@pytest.fixture
def server(all_tests):
    """The server with an empty log, no faults and no results."""
    for key in all_tests.keys("out/"):
        all_tests.client.delete_object(Bucket=BUCKET, Key=key)
    all_tests.log = Log()
    return all_tests


@pytest.fixture
def predict(checkpoint, tmp_path):
    """Runs `predict.py` from the bucket into the bucket."""

    def run(*arguments, code=0, work="work", inputs=f"s3://{BUCKET}/in", output=f"s3://{BUCKET}/out/", run=run_script):
        given = f"image={inputs}/image/", f"mask={inputs}/mask/", f"output_dir={output}", f"checkpoint={checkpoint}", *WINDOWS
        given += f"paths.buckets={tmp_path / work}", f"hydra.run.dir={tmp_path}/log"
        keys = {argument.partition("=")[0] for argument in arguments}
        given = [each for each in given if each.partition("=")[0] not in keys]
        result = run("predict", *given, *(each for each in arguments if not each.endswith("=")), code=code)
        assert "hush" not in result.stdout + result.stderr
        return result

    return run


def digests(contents):
    return {name: hashlib.sha256(data).hexdigest() for name, data in contents if name.rpartition("/")[2] not in RECORDS}


def in_bucket(server):
    return digests((key.removeprefix("out/"), server.content(key)) for key in server.keys("out/"))


def on_disk(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return digests((path.relative_to(folder).as_posix(), path.read_bytes()) for path in files)


def scores(server):
    return [row["name"] for row in csv.DictReader(io.StringIO(server.content("out/scores.csv").decode()))]


def test_a_bucket_gets_what_a_folder_gets(server, scenes, predict, tmp_path):
    predict(output=tmp_path / "out", inputs=scenes)
    expected = on_disk(tmp_path / "out")
    result = predict()
    assert in_bucket(server) == expected
    for name in HEIGHTS:
        written = [answer.request for answer in server.log.of(f"^PUT /{BUCKET}/out/{name}/")]
        assert "scores.json" in written[-1] and not [each for each in written[:-1] if "scores.json" in each]
    assert "scores.csv" in server.log.of("^PUT")[-1].request
    requests, megabytes, megapixels = re.search(
        r"Read by URL: (\d+) requests and ([\d.]+) MB for ([\d.]+) mega", result.stdout
    ).groups()
    asked = [answer for answer in server.log.answers if re.search("(GET|HEAD) .*/in/(image|mask)/", answer.request)]
    assert int(requests) == len(asked) and float(megapixels) == round(80 * sum(HEIGHTS.values()) / 1e6, 1)
    assert float(megabytes) == round(sum(answer.count for answer in asked) / 1e6, 1)
    assert f"s3://{BUCKET}/out" in result.stdout
    # A rerun writes no scene, here or elsewhere.
    for work in ("work", "elsewhere"):
        server.log.answers.clear()
        assert "3 of 3 were complete" in predict(work=work).stdout
        assert not server.log.of("PUT .*/out/./") and in_bucket(server) == expected
        assert on_disk(tmp_path / work / "s3" / BUCKET / "out") == expected


def test_what_fails_is_tried_again_then_named_and_the_rest_done(server, predict):
    server.log.faults += [
        Fault("GET .*/in/image/a.tif", "503", times=2),
        Fault("GET .*/in/mask/a.tif", "slow", times=1),
        Fault("GET .*/in/image/b.tif", "cut"),
        Fault("GET .*/in/mask/c.tif", "cut", times=1),
        Fault("PUT .*/out/c/quality.tif", "503", times=2),
    ]
    result = predict(code=1)
    assert re.search(f"b: s3://{BUCKET}/in/image/b.tif cannot be ", error_of(result))
    assert sorted(scores(server)) == ["a", "c"] and not server.keys("out/b")
    assert [each.times for each in server.log.faults[:2]] == [0, 0]
    server.log.faults.clear()
    server.log.answers.clear()
    assert "2 of 3 were complete" in predict().stdout
    assert sorted(scores(server)) == ["a", "b", "c"] and not server.log.of("PUT .*/out/[ac]/")


def test_what_is_not_uploaded_whole_has_no_record(server, predict):
    server.log.faults.append(Fault("PUT .*/out/b/quality.tif", "503"))
    result = predict(code=1)
    assert re.search(f"b: s3://{BUCKET}/out/b cannot be .* written .*run the same command again", error_of(result))
    assert sorted(scores(server)) == ["a", "c"] and "out/b/scores.json" not in server.keys("out/b")
    server.log.faults.clear()
    server.log.answers.clear()
    result = predict()
    assert "3 of 3 were complete" in result.stdout, "b was judged; only its upload was missing"
    assert "out/b/scores.json" in server.keys("out/b") and sorted(scores(server)) == ["a", "b", "c"]


@pytest.mark.slow
def test_other_settings_replace_all_files(server, predict):
    predict("image=" + f"s3://{BUCKET}/in/image/a.tif", "mask=" + f"s3://{BUCKET}/in/mask/a.tif")
    server.log.answers.clear()
    predict("image=" + f"s3://{BUCKET}/in/image/a.tif", "mask=" + f"s3://{BUCKET}/in/mask/a.tif", "panel=false", "report=false")
    keys = server.keys("out/a/")
    assert "out/a/scores.json" in keys and "out/a/panel.png" not in keys
    changes = [answer.request for answer in server.log.answers if re.search("^(PUT|POST|DELETE) .*out", answer.request)]
    about_a = [each for each in changes if "/a/" in each or "delete" in each]
    assert "PUT" not in about_a[0] and "PUT" in about_a[-1] and "scores.json" in about_a[-1]


@pytest.mark.slow
def test_answers_in_the_bucket_are_not_lost(server, predict):
    predict()
    rows = list(csv.DictReader(io.StringIO(server.content("out/findings.csv").decode())))
    rows[0]["accept"] = "yes"
    table = io.StringIO()
    writer = csv.DictWriter(table, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    server.client.put_object(Bucket=BUCKET, Key="out/findings.csv", Body=table.getvalue().encode())
    assert "has answers" in predict(work="elsewhere").stdout
    assert server.content("out/findings.csv") == table.getvalue().encode()


def test_files_by_http_and_a_list(server, scenes, predict, tmp_path):
    rows = [f"{server.url}/in/image/{name}.tif,s3://{BUCKET}/in/mask/{name}.tif" for name in "ab"]
    server.client.put_object(Bucket=BUCKET, Key="pairs.csv", Body="\n".join(["image,mask", *rows]).encode())
    predict(f"image=s3://{BUCKET}/pairs.csv", "mask=", f"output_dir={tmp_path}/out")
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["config"]["image"] == f"s3://{BUCKET}/pairs.csv" and "hush" not in json.dumps(record)
    assert {path.parent.name for path in (tmp_path / "out").glob("*/quality.tif")} == {"a", "b"}


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        (f"image=https://me:hush@host/{BUCKET}/a.tif", "https://host/"),
        ("output_dir=http://host/out", "output_dir=http://host/out cannot be written to"),
        ("output_dir=s3://nowhere/out", "s3://nowhere/out does not exist"),
        ("image=s3://nowhere/in/", "s3://nowhere/in/"),
    ],
)
def test_a_wrong_request_is_refused(argument, said, server, predict):
    assert said in error_of(predict(argument, code=2))
    assert server.keys("out/") == []


@pytest.mark.slow
def test_several_processes_upload_and_count(server, predict):
    result = predict("engine.workers=2", "engine.bands=2", run=run_fresh)
    assert sorted(scores(server)) == ["a", "b", "c"]
    requests = re.search(r"Read by URL: ([\d,]+) requests", result.stdout)[1]
    asked = [answer for answer in server.log.answers if re.search("(GET|HEAD) .*/in/(image|mask)/", answer.request)]
    assert int(requests) == len(asked)
