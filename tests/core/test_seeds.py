from hypothesis import given
from hypothesis import strategies as st

from neuron_pruning.core.seeds import derive_seed


@given(st.integers(0, 10**6), st.text(max_size=8), st.text(max_size=8))
def test_seeds_of_components_differ_and_repeat(seed, one, other):
    assert derive_seed(seed, one) == derive_seed(seed, one)
    assert (derive_seed(seed, one) == derive_seed(seed, other)) == (one == other)
    assert 0 <= derive_seed(seed, one) < 2**63
