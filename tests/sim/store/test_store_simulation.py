"""The store's Raft in a world that fails by seed; `scripts/sim store` runs more of it."""

import pytest

from sim.store.story import simulate

# Seeds that once found a fault stay here, with a word on it.
FOUND: list[tuple[int, int]] = []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_short_run_of_three_members_keeps_every_promise(seed):
    _, tally = simulate(seed, duration_s=12)
    assert tally.acknowledged > 100
    assert tally.reads > 40


@pytest.mark.slow
@pytest.mark.parametrize(("size", "seed"), [(3, 11), (3, 12), (3, 13), (3, 14), (5, 15), (2, 16), (1, 17), *FOUND])
def test_a_long_run_keeps_every_promise(size, seed):
    _, tally = simulate(seed, size=size, duration_s=60)
    assert tally.acknowledged > 100
    assert tally.crashes > 5


def test_the_same_seed_gives_the_same_trace():
    assert simulate(5, duration_s=8) == simulate(5, duration_s=8)
    assert simulate(5, duration_s=8)[0] != simulate(6, duration_s=8)[0]
