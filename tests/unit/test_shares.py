from services.producer.shares import shares
from tandem.settings import ProducerSettings


def test_one_producer_has_everything() -> None:
    settings = ProducerSettings(seed=7, max_messages=10)
    assert shares(settings) == [settings]


def test_the_bound_is_shared_out() -> None:
    parts = shares(ProducerSettings(producers=3, max_messages=11))
    assert [part.max_messages for part in parts] == [4, 4, 3]


def test_there_are_no_more_producers_than_messages() -> None:
    assert [part.max_messages for part in shares(ProducerSettings(producers=5, max_messages=2))] == [1, 1]


def test_without_a_bound_none_has_one() -> None:
    assert [part.max_messages for part in shares(ProducerSettings(producers=2))] == [None, None]


def test_each_seed_follows_from_the_one_that_was_set() -> None:
    seeds = [[part.seed for part in shares(ProducerSettings(producers=3, seed=seed))] for seed in (7, 7, 8)]
    assert seeds[0] == seeds[1]
    assert seeds[0][0] == 7
    assert len({*seeds[0], *seeds[2]}) == 6


def test_without_a_seed_every_run_has_its_own() -> None:
    seeds = {part.seed for _ in range(2) for part in shares(ProducerSettings(producers=2))}
    assert len(seeds) == 4
    assert None not in seeds
