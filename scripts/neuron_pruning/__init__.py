"""Pruning of redundant neurons: networks, angles, selection, surgery.

The public names stand in ``__init__.pyi``. They load on first use, so that work without a
network never waits for torch.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
