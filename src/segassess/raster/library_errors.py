"""Turn the errors of GDAL, PROJ and GEOS into one sentence about one input."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from pyogrio.errors import DataLayerError, DataSourceError
from rasterio._err import CPLE_BaseError
from rasterio.errors import CRSError, RasterioError
from shapely.errors import ShapelyError

from segassess.errors import InputError

# GDAL's own CPLE_* errors are no RasterioErrors, nor are CRSErrors.
LIBRARY_ERRORS = (RasterioError, CPLE_BaseError, CRSError, DataSourceError, DataLayerError, ShapelyError)


@contextmanager
def as_input_error(sentence: str, *others: type[Exception]) -> Iterator[None]:
    """Raise InputError for library errors and `others` in the block; `{reason}` in the sentence becomes the library's message."""
    try:
        yield
    except (*LIBRARY_ERRORS, *others) as error:
        raise InputError(sentence.replace("{reason}", reason(error))) from error


def reason(error: BaseException) -> str:
    """A library's message in one line; rasterio often keeps it in the cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    # PROJ spells CRSs out in JSON, over many lines.
    said = re.sub(r"\{.*\}", "...", str(error), flags=re.DOTALL)
    return " ".join(said.split()).rstrip(".") or type(error).__name__
