"""The one shape of all tables: what a table holds, how it is computed, shown and explained."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa


@dataclass(frozen=True)
class Table:
    """One table; every module of this folder that is a table defines it as ``TABLE``.

    Attributes:
        schema: columns of the Parquet file with their descriptions and units.
        rows: computes the rows from what the rule's inputs hold, and from its settings, all by
            name. Columns beyond the schema are for the caption alone; no file keeps them.
        display: what a reader sees: columns with headings, cells of text.
        caption: what the figures are, without the number of the table.
    """

    schema: pa.Schema
    rows: Callable[..., pd.DataFrame]
    display: Callable[[pd.DataFrame], pd.DataFrame]
    caption: Callable[[pd.DataFrame], str]
