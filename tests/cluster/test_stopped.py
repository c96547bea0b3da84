"""After the tests of the cluster, which come first: nothing of it is left."""

import os

from tests.cluster.slurm import CONFIGURATION, FILES, daemons


def test_no_daemon_is_left(before):
    assert daemons() <= before


def test_no_configuration_is_left(before):
    left = [CONFIGURATION / name for name in FILES if os.path.lexists(CONFIGURATION / name)]
    assert not [path for path in left if not path.exists() or path.is_symlink()]
