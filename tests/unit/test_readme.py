import re
from pathlib import Path

from tandem.codec import JsonCodec
from tandem.schemas import STREAMS
from tandem.settings import ConsumerSettings, ProducerSettings

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_every_setting_is_in_the_readme() -> None:
    settings = {**ProducerSettings.model_fields, **ConsumerSettings.model_fields}
    assert not [name for name in settings if f"`{name.upper()}`" not in README]


def test_the_commands_that_do_all_the_set_up_come_first() -> None:
    commands = [line for line in README.splitlines() if line.startswith("$ ")]
    assert commands[0].startswith("$ make demo ")
    assert commands[1].startswith("$ make test ")


def test_the_events_it_shows_are_events() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    shown = [
        JsonCodec(stream.event).decode(line.encode())
        for stream, line in zip(STREAMS.values(), block.splitlines(), strict=True)
    ]
    assert len(shown) == len(STREAMS)
