"""Which units of a layer can be removed, what the remaining ones get, and the cut itself.

Arrays say their shapes in their types, as in ``Float64[NDArray, "patterns units"]``. The axes, with
the letters that formulas use for their lengths:

* ``patterns`` (N): images; of a convolution, positions of images.
* ``units`` (H), ``inputs`` (D), ``outputs`` (O): of the pruned layer, of what it reads, and of the
  following layer.
* ``classes``: of the logits.
* ``images``: all of a data set, where patterns are some of them; ``height``, ``width``: in pixels.
* ``dimensions``: of vectors that are compared, one for each unit.
* ``pairs``: of units; ``members``: of a group of units.
* ``rows``, ``columns``, ``pivots``: of a matrix of any origin. ``_``: of any length.

A shape of one axis starts with a space, as the linter takes it for a name otherwise.
"""
