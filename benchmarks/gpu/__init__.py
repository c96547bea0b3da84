"""What half an hour of a GPU is for: does it run, the paper in full, how fast. Rehearsed on a CPU.

``python -m benchmarks.gpu smoke | paper | bench``, each with ``--device cpu`` as a rehearsal at
small sizes. The order is that of their worth: what fails in the first costs the others their time.
"""
