"""How full packed rows would be: by the very function that packs, on a sample where there are many rows."""

from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from trl import pack_dataset

from core.data.pool import Pool
from core.recipe import Recipe

SAMPLE_ROWS = 5_000


def efficiency(pool: Pool, train: np.ndarray, recipe: Recipe) -> dict[str, Any]:
    """`rows` that packing makes of the rows to train on, and the `filled` share of their tokens."""
    longest = recipe.data.max_length
    some = (
        train if len(train) <= SAMPLE_ROWS else np.random.default_rng(recipe.training.seed).choice(train, SAMPLE_ROWS)
    )
    lengths = np.minimum(pool.column("length")[some], longest)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = pa.LargeListArray.from_arrays(offsets, np.zeros(offsets[-1], np.int8))
    packed = pack_dataset(Dataset(pa.table({"input_ids": rows})), longest, "bfd")
    whole = max(1, round(len(packed) * len(train) / len(some)))
    return {"rows": whole, "filled": round(float(lengths.sum(dtype=np.int64)) / (len(packed) * longest), 4)}
