"""Ways in and out: one file for each."""

from dataide.formats.arrays import add_arrays
from dataide.formats.folder import add_folder
from dataide.formats.frame import add_frame
from dataide.formats.ingest import Report
from dataide.formats.parquet import add_parquet

__all__ = ["Report", "add_arrays", "add_folder", "add_frame", "add_parquet"]
