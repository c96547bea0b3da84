"""Independent random streams from one experiment seed."""

import hashlib


def derive_seed(seed: int, component: str) -> int:
    """Seed of one named component (``split``, ``init``, ``shuffle``), in [0, 2**63).

    Hashing the name keeps the streams apart: a new component never shifts an existing one.
    """
    digest = hashlib.sha256(f"{seed}/{component}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
