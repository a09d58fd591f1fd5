"""A layer of polygons, mended by what was found: invented ones dropped, shifted ones moved, missed ones added.

Attributes stay. What was changed, and how it was before, is a layer of its own, by which each change can be undone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate

from segassess.errors import RequestError
from segassess.files import atomic_path, write_text
from segassess.findings.by_reference import SHIFTED
from segassess.findings.object_scores import MISSED, WRONG
from segassess.metrics.missed_objects import MIN_AREA
from segassess.outputs.judged_folder import JudgedFolder
from segassess.outputs.layer_styles import add_style
from segassess.outputs.layers import GPKG_VERSION
from segassess.outputs.osm_xml import OsmElements, document
from segassess.raster import Grid
from segassess.raster.opening import opened
from segassess.raster.vectors import file_and_layer, is_vector, read_attributes, reading_layer

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

KEPT, DROPPED, MOVED, ADDED = "kept", "dropped", "moved", "added"
CHANGES = (DROPPED, MOVED, ADDED)
# Columns of the mended layer: what was done to a feature, the probability by which it was, and its id in the layer before.
CHANGE, PROBABILITY, FEATURE = "segassess_change", "segassess_p", "segassess_feature"
# Limits that somebody who does not know better takes.
DROP_FROM, ADD_FROM = 0.6, 0.6
# What somebody may decide.
YES, NO, DROP = "yes", "no", "drop"
# Corners of added outlines that stand less than so many pixels beside a straight line are left out.
_SIMPLIFY_PX = 2.0


@dataclass(frozen=True)
class Acceptance:
    """Which findings are applied: those at least as probable as these limits, and those that somebody decided on.

    `drop` is the mean P(error) of a polygon, `add` the probability of a missed object, both in [0, 1]; a polygon that is called
    shifted is moved unless `move` is False. `features` (ids in the layer) and `objects` (numbers of missed objects) decide on
    single ones, whatever the limits are: `YES` does what belongs to the verdict, which is nothing for one that is partly wrong or
    right; `NO` does nothing; `DROP` drops a polygon whatever its verdict.
    """

    drop: float = DROP_FROM
    add: float = ADD_FROM
    move: bool = True
    features: Mapping[int, str] = field(default_factory=dict)
    objects: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mended:
    """A mended layer with the columns `CHANGE` and `PROBABILITY`, and its changes: as it was, or of an added one as it is."""

    layer: "GeoDataFrame"
    changes: "GeoDataFrame"

    def counts(self) -> dict[str, int]:
        """Number of changes of each kind."""
        done = self.changes[CHANGE].tolist()
        return {change: done.count(change) for change in CHANGES}


def mend(path: str, judged: JudgedFolder, accepted: Acceptance) -> Mended:
    """Mend the layer of polygons at `path` (`file|layername=NAME` for one of several) by what was found in it.

    Missed objects are added with the outlines of `missed.gpkg` if the judgement had a fit, else with their simplified shape in
    the quality map. Added features have no attributes; all others keep theirs, and
    columns their types. Raises RequestError if findings are missing or not of this layer,
    InputError if a file cannot be read.
    """
    import geopandas
    import pandas

    if not is_vector(path):
        raise RequestError(f"{path} is a raster; only a layer of polygons can be mended.")
    layer = _read(path)
    for column, values in read_attributes(path, layer.index).items():
        if values.dtype.kind in "iub":
            # Whole numbers and booleans stay so beside added features, which have none.
            layer[column] = pandas.Series(values.data, layer.index).convert_dtypes().mask(np.ma.getmaskarray(values))
    taken = {CHANGE, PROBABILITY, FEATURE} & set(layer.columns)
    layer = layer.drop(columns=list(taken))
    with opened(judged.require("quality.tif")) as quality:
        grid = Grid.of(quality)
    findings = _read(str(judged.require("polygons.gpkg"))).set_index("feature")
    if unknown := sorted(set(findings.index) - set(layer.index)):
        raise RequestError(f"{path} has no feature {unknown[0]}, which was judged; give the layer as it was then.")
    crs = findings.crs
    dropped, moved = _verdicts(findings, accepted)
    layer[CHANGE], layer[PROBABILITY], layer[FEATURE] = KEPT, np.nan, layer.index.to_numpy()
    layer.loc[moved, CHANGE] = MOVED
    before = layer.loc[[*dropped, *moved]].copy()
    before[CHANGE] = [DROPPED] * len(dropped) + [MOVED] * len(moved)
    before[PROBABILITY] = findings["mean_error"].reindex(before.index).to_numpy()
    layer.loc[moved, PROBABILITY] = findings["mean_error"].reindex(moved).to_numpy()
    if moved:
        places = _to(layer.loc[moved, "geometry"], crs)
        offsets = _offsets(findings.loc[moved], grid)
        shifted = [translate(place, *offset) for place, offset in zip(places, offsets.tolist(), strict=True)]
        layer.loc[moved, "geometry"] = _to(geopandas.GeoSeries(shifted, index=moved, crs=crs), layer.crs)
    added = _missed(judged, grid, accepted)
    added = _to(added, layer.crs) if len(added) else added.set_crs(layer.crs, allow_override=True)
    changes = pandas.concat([before, added], ignore_index=True) if len(added) else before
    mended = layer.drop(index=dropped)
    if len(added):
        mended = pandas.concat([mended, added.drop(columns="object")], ignore_index=True)
    for frame in (mended, changes):
        # Added ones have none.
        frame[FEATURE] = frame[FEATURE].astype("Int64")
    return Mended(mended, changes)


def write_mended(folder: Path, mended: Mended, name: str) -> list[Path]:
    """Write `<name>.gpkg`, `changes.gpkg` and, with a CRS, `added.osc` into a folder; returns their paths.

    Raises RequestError if the folder cannot be written to.
    """
    written = []
    for stem, frame in ((name, mended.layer), ("changes", mended.changes)):
        path = folder / f"{stem}.gpkg"
        with atomic_path(path) as beside:
            beside.unlink()
            pyogrio.write_dataframe(frame, beside, layer=stem, driver="GPKG", dataset_options=GPKG_VERSION)
            add_style(beside, stem, list(frame.columns.drop("geometry")))
        written.append(path)
    if mended.layer.crs is not None:
        added = mended.changes[mended.changes[CHANGE] == ADDED]
        path = folder / "added.osc"
        write_text(path, osm_change(added.to_crs("EPSG:4326").geometry.tolist() if len(added) else []))
        written.append(path)
    return written


def osm_change(outlines: Sequence[shapely.Geometry]) -> str:
    """An OSM change (version 0.6) that creates the polygons, in WGS 84; tagged as buildings to be checked."""
    root = ElementTree.Element("osmChange", version="0.6", generator="segassess")
    elements = OsmElements(ElementTree.SubElement(root, "create"))
    for outline in outlines:
        elements.polygon(outline, {"building": "yes", "fixme": "outline proposed by segassess; check it against the image"})
    return document(root)


def _verdicts(findings: "GeoDataFrame", accepted: Acceptance) -> tuple[list[int], list[int]]:
    """Features to drop, and features to move."""
    dropped, moved = [], []
    for feature, verdict, error in zip(findings.index, findings["verdict"], findings["mean_error"], strict=True):
        decided = accepted.features.get(int(feature))
        if decided == DROP or (verdict == WRONG and (error >= accepted.drop if decided is None else decided == YES)):
            dropped.append(int(feature))
        elif verdict == SHIFTED and (accepted.move if decided is None else decided == YES):
            moved.append(int(feature))
    if unknown := sorted(set(accepted.features) - set(map(int, findings.index))):
        raise RequestError(f"The feature {unknown[0]} that was decided on was not judged; give ids of the column feature.")
    return dropped, moved


def _offsets(findings: "GeoDataFrame", grid: Grid) -> NDArray[np.float64]:
    """Offsets (N, 2) in the CRS of the image."""
    pixels: NDArray[np.float64] = findings[["shift_x_px", "shift_y_px"]].to_numpy(float)
    if grid.georeference is None:
        return pixels
    t = grid.georeference.transform
    return np.asarray(pixels @ np.array([[t.a, t.d], [t.b, t.e]]))


def _missed(judged: JudgedFolder, grid: Grid, accepted: Acceptance) -> "GeoDataFrame":
    """Outlines of the missed objects to add, with `CHANGE`, `PROBABILITY` and their number `object`."""
    if (judged.folder / "missed.gpkg").is_file():
        found = _read(str(judged.folder / "missed.gpkg")).rename(columns={"probability": PROBABILITY})
    else:
        found = _read(str(judged.require("objects.gpkg")))
        found = found[found["verdict"] == MISSED].rename(columns={"mean_error": PROBABILITY})
        side = 1.0 if grid.georeference is None else abs(grid.georeference.transform.determinant) ** 0.5
        found["geometry"] = found.geometry.simplify(_SIMPLIFY_PX * side)
    if unknown := sorted(set(accepted.objects) - set(map(int, found["object"]))):
        raise RequestError(f"The object {unknown[0]} that was decided on is no missed object; give numbers of the column object.")
    limits = zip(found["object"], found[PROBABILITY], strict=True)
    decided = accepted.objects
    wanted = [decided[int(number)] == YES if int(number) in decided else bool(p >= accepted.add) for number, p in limits]
    chosen = found.loc[np.array(wanted, bool), ["object", PROBABILITY, "geometry"]]
    pixel = 1.0 if grid.georeference is None else abs(grid.georeference.transform.determinant)
    chosen["geometry"] = [_without_crumbs(outline, MIN_AREA * pixel) for outline in chosen.geometry]
    chosen.insert(0, CHANGE, ADDED)
    return chosen


def _without_crumbs(outline: shapely.Geometry, least: float) -> shapely.Geometry:
    """An outline without parts of less than this area, but for the largest."""
    parts = shapely.get_parts(np.array([outline], object))
    areas = shapely.area(parts)
    kept: shapely.Geometry = shapely.multipolygons(parts[(areas >= least) | (areas == areas.max(initial=0))])
    return kept


def _to(places: Any, crs: Any) -> Any:
    """Geometries in another CRS; as they are where either is unknown."""
    if places.crs is None or crs is None:
        return places.set_crs(crs, allow_override=True)
    return places.to_crs(crs)


def _read(path: str) -> "GeoDataFrame":
    """A layer with the ids that GDAL gives its features as index."""
    with reading_layer(path):
        file, layer = file_and_layer(path)
        return pyogrio.read_dataframe(file, layer=layer, fid_as_index=True)
