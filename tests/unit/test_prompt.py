import pytest

from services.producer.prompt import COMMANDS, Command


@pytest.mark.parametrize("line", ["send", "stats", "help", "quit", "  send  "])
def test_a_command_is_its_name(line: str) -> None:
    assert Command.parse(line) == Command(line.strip())


@pytest.mark.parametrize(
    ("line", "count"), [("batch 1", 1), ("batch  0020 ", 20), ("batch 1000000", 1_000_000)]
)
def test_a_batch_has_a_size(line: str, count: int) -> None:
    assert Command.parse(line) == Command("batch", count)


@pytest.mark.parametrize(
    "line",
    ["batch", "batch 0", "batch x", "batch -1", "batch 1 2", "batch 1000001", f"batch {'9' * 50}", "batch ٣"],
)
def test_any_other_size_is_refused_with_an_example(line: str) -> None:
    with pytest.raises(ValueError, match="batch takes a number from 1 to 1000000, for example batch 100"):
        Command.parse(line)


@pytest.mark.parametrize("line", ["dance", "send 5", "SEND", "quit now"])
def test_what_is_no_command_gets_the_list(line: str) -> None:
    with pytest.raises(ValueError, match=f"there is no command {line}; there are: {', '.join(COMMANDS)}"):
        Command.parse(line)
