"""Which results of a judged mask are written, and how finely."""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from segassess.options.checking import Settings
from segassess.options.option import option

Format: TypeAlias = Literal["gpkg", "geojson", "parquet", "fgb", "pmtiles"]


@dataclass(frozen=True)
class OutputSettings(Settings):
    """Which results of a judged mask are written, and how finely."""

    KEY: ClassVar = "output"

    review_tile: int = option("Side of the tiles of tiles.csv in pixels.", 512, low=16)
    min_area_m2: float | None = option(
        "Smallest error and object in square metres; 25 pixels if null or if the size of a pixel is unknown.", None, low=0
    )
    rim_px: int = option(
        "Split errors into areas, which a disc of this radius in pixels fits into, and rims; 0 does not split.",
        3,
        low=0,
        high=8,
    )
    simplify_px: float = option(
        "Tolerance in pixels when outlines are simplified; 0 follows the edges of pixels, so areas agree with the maps.",
        0.0,
        low=0,
    )
    formats: tuple[Format, ...] = option(
        "Formats of the layers: gpkg, which is always needed, GeoJSON (WGS 84), GeoParquet (with it the tables as Parquet; "
        "pip install 'segassess[parquet]'), FlatGeobuf, PMTiles (vector tiles, of images with a CRS).",
        ("gpkg",),
    )

    @property
    def parquet(self) -> bool:
        """Whether tables are also written as Parquet."""
        return "parquet" in self.formats

    def fault(self) -> str | None:
        """See the base class."""
        return None if "gpkg" in self.formats else "output.formats needs gpkg, which other commands read; add it to the list."
