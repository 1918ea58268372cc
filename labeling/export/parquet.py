"""Parquet: the full-fidelity table for programs."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from labeling.export.rows import COLUMNS, Row, Study

_KINDS = {int: pa.int64(), str: pa.string(), float: pa.float64(), bool: pa.bool_()}
_ROWS_PER_GROUP = 10_000


def write_parquet(rows: Iterable[Row], out: Path, _study: Study) -> None:
    """Write rows as one Parquet file with typed, nullable columns."""
    schema = pa.schema([(name, _KINDS[kind]) for name, kind in COLUMNS.items()])
    source = iter(rows)
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        while group := list(islice(source, _ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema))
