"""Parquet files with the same column names as CSV."""

from pathlib import Path

import pyarrow as pa

from resprout.data.readers.columns import find_columns, raw_of_table
from resprout.data.readers.raw import Columns, Raw
from resprout.errors import DataError


def read(path: Path, wanted: Columns) -> Raw:
    """The interactions of one file; only the columns in use are read. Raises DataError if it is no Parquet file."""
    # Slow to import, and most data comes in other formats.
    import pyarrow.parquet

    try:
        names = pyarrow.parquet.read_schema(path).names
        columns = find_columns(names, wanted, str(path))
        used = [name for name in (columns.user, columns.item, columns.weight, columns.time) if name is not None]
        table = pyarrow.parquet.read_table(path, columns=used)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from error
    return raw_of_table(table, columns, lambda row: f"{path}, row {row}")
