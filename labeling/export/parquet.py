"""Parquet: the full-fidelity table for programs."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from labeling.export.rows import COLUMNS, Row

_KINDS = {int: pa.int64(), str: pa.string(), float: pa.float64(), bool: pa.bool_()}


def to_parquet(rows: list[Row]) -> bytes:
    """Write rows as one Parquet file with typed, nullable columns."""
    schema = pa.schema([(name, _KINDS[kind]) for name, kind in COLUMNS.items()])
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), buffer, compression="zstd")
    return buffer.getvalue()
