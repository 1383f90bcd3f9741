"""What each of several producers in one process has to do. Pure, but for a seed that nobody has chosen."""

from random import Random

from tandem.settings import ProducerSettings


def shares(settings: ProducerSettings) -> list[ProducerSettings]:
    """The settings of each producer: a seed of its own, that follows from SEED, and its share of MAX_MESSAGES."""
    seed = Random().getrandbits(64) if settings.seed is None else settings.seed
    bound = settings.max_messages
    count = settings.producers if bound is None else min(settings.producers, bound)
    return [
        settings.model_copy(
            update={
                "seed": seed if number == 0 else Random(f"producer {number} {seed}").getrandbits(64),
                "max_messages": None if bound is None else bound // count + (number < bound % count),
            }
        )
        for number in range(count)
    ]
