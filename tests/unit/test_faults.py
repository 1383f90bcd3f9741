from collections import Counter
from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from msgspec import Struct

from services.producer.faults import Faults, malformed
from services.producer.generators import GENERATORS
from tandem.codec import Codecs
from tandem.errors import CodecError
from tandem.formats.schema import Format
from tandem.headers import FAULT, Fault, Header
from tandem.records import Record
from tandem.schemas import STREAMS
from tandem.settings import ProducerSettings
from tests.unit.events import Registry

EVERY_FAULT = dict.fromkeys(Fault, 0.3)


class Fact(Struct, frozen=True):
    number: int


def encode(event: Struct, headers: Sequence[Header]) -> list[Record]:
    """As for a stream with two topics."""
    return [Record(topic, b"k", msgspec.json.encode(event), headers) for topic in ("messages", "stream")]


def test_each_fault_comes_as_often_as_its_rate() -> None:
    faults = Faults({Fault.MALFORMED: 0.1, Fault.DUPLICATE: 0.2, Fault.LATE: 0.05}, Random(1))
    drawn = Counter(faults.draw() for _ in range(20_000))
    assert drawn[Fault.MALFORMED] == pytest.approx(2000, rel=0.1)
    assert drawn[Fault.DUPLICATE] == pytest.approx(4000, rel=0.1)
    assert drawn[Fault.LATE] == pytest.approx(1000, rel=0.1)
    assert drawn[None] == pytest.approx(13_000, rel=0.1)


@pytest.mark.parametrize("fault", Fault)
def test_a_rate_of_one_means_every_event(fault: Fault) -> None:
    faults = Faults({fault: 1.0}, Random(1))
    assert {faults.draw() for _ in range(1000)} == {fault}


def test_without_rates_there_are_no_faults() -> None:
    faults = Faults.of(ProducerSettings(), Random(1))
    assert not faults
    assert {faults.draw() for _ in range(1000)} == {None}


def test_the_same_seed_makes_the_same_faults() -> None:
    def spoilt(seed: int) -> list[Record]:
        faults = Faults(EVERY_FAULT, Random(seed))
        return [
            record for number in range(100) for record in faults.records(Fact(number), faults.draw(), encode)
        ]

    assert spoilt(1) == spoilt(1)
    assert spoilt(1) != spoilt(2)


def test_an_event_without_a_fault_has_no_label() -> None:
    assert Faults({}, Random(1)).records(Fact(1), None, encode) == encode(Fact(1), [])


def test_every_record_of_a_malformed_event_is_labelled() -> None:
    records = Faults({}, Random(1)).records(Fact(1), Fault.MALFORMED, encode)
    assert [record.topic for record in records] == ["messages", "stream"]
    assert all(record.headers == [(FAULT, b"malformed")] for record in records)
    assert all(record.value != encode(Fact(1), [])[0].value for record in records)


def test_of_a_duplicate_only_the_second_record_is_labelled() -> None:
    records = Faults({}, Random(1)).records(Fact(1), Fault.DUPLICATE, encode)
    assert [(record.topic, bool(record.headers)) for record in records] == [
        ("messages", False),
        ("stream", False),
        ("messages", True),
        ("stream", True),
    ]
    assert len({record.value for record in records}) == 1


def test_a_late_event_happened_a_minute_to_an_hour_ago() -> None:
    faults = Faults({}, Random(1))
    ago = [faults.lateness_ms(Fault.LATE) for _ in range(1000)]
    assert min(ago) >= 60_000
    assert max(ago) <= 3_600_000
    assert max(ago) - min(ago) > 3_000_000
    assert faults.lateness_ms(Fault.DUPLICATE) == faults.lateness_ms(None) == 0


def test_there_are_several_kinds_of_malformed_bytes() -> None:
    value = b'{"number":1,"text":"x"}'
    made = {malformed(value, Random(seed)) for seed in range(200)}
    assert {b"", value[:-1], b'{"number": [1], "text": "x"}', b'{"number": 1, "text": ["x"]}'} < made
    assert len(made) > 6
    assert value not in made


@pytest.mark.parametrize("format_", Format)
@pytest.mark.parametrize("stream", STREAMS)
async def test_no_format_reads_malformed_bytes_as_an_event(stream: str, format_: Format) -> None:
    model = STREAMS[stream].event
    codecs = Codecs(format_, Registry())
    encoder, decoder = await codecs.encoder(model, "topic"), codecs.decoder(model)
    await decoder.learn(1)
    random = Random(7)
    for event in GENERATORS[stream](ProducerSettings(stream=stream), random).take(200, 1767225600000):
        value = encoder.encode(event)
        assert decoder.decode(value) == event
        with pytest.raises(CodecError):
            decoder.decode(malformed(value, random))
