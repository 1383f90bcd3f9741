"""Tokens: kept, renewed in time, and an endpoint that fails is left alone."""

import pytest
from aiokafka.errors import KafkaError

from tandem.errors import TandemError, UnavailableError
from tandem.kafka.security import TokenError, TokenProvider
from tandem.security import oauth
from tandem.security.oauth import Endpoint, Token, TokenSource, read_token
from tandem.settings import KafkaSettings

pytestmark = pytest.mark.usefixtures("_quick")


class Clock:
    """Stands in for the endpoint: gives tokens numbered from 1 that live for so long, or fails."""

    def __init__(self, life: float) -> None:
        self.life = life
        self.asked = 0
        self.failure: TandemError | None = None

    async def ask(self, _: Endpoint, now: float) -> Token:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return read_token({"access_token": f"token-{self.asked}", "expires_in": self.life}, now)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oauth, "_PAUSE", 0.0)


def source(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> TokenSource:
    monkeypatch.setattr(oauth, "ask", clock.ask)
    return TokenSource(Endpoint.of("KAFKA", KafkaSettings()))


async def test_a_token_is_kept_while_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = source(monkeypatch, Clock(life=3600))
    assert [await tokens.token() for _ in range(3)] == ["token-1"] * 3


async def test_it_is_renewed_when_most_of_its_life_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oauth, "_RENEW_AFTER", 0.0)
    tokens = source(monkeypatch, Clock(life=3600))
    assert [await tokens.token() for _ in range(2)] == ["token-1", "token-2"]


async def test_while_it_can_not_be_renewed_the_old_one_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oauth, "_RENEW_AFTER", 0.0)
    clock = Clock(life=3600)
    tokens = source(monkeypatch, clock)
    await tokens.token()
    clock.failure = UnavailableError("down", "wait")
    assert [await tokens.token() for _ in range(3)] == ["token-1"] * 3
    assert clock.asked == 2


async def test_an_endpoint_that_fails_is_not_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(life=3600)
    clock.failure = UnavailableError("down", "wait")
    tokens = source(monkeypatch, clock)
    for _ in range(5):
        with pytest.raises(UnavailableError, match="down"):
            await tokens.token()
    assert clock.asked == 1


async def test_aiokafka_gets_an_error_that_its_tasks_survive(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(life=3600)
    clock.failure = UnavailableError("down", "wait")
    with pytest.raises(KafkaError, match="down") as caught:
        await TokenProvider(source(monkeypatch, clock)).token()
    assert isinstance(caught.value, TokenError)
    assert caught.value.problem is clock.failure


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "token",
        {},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": "a\x01b"},
        {"access_token": "é"},
    ],
)
def test_an_answer_without_a_token_is_none(answer: object) -> None:
    with pytest.raises(ValueError, match="holds no access_token"):
        read_token(answer, 0)


@pytest.mark.parametrize(
    ("told", "life"), [(300, 300), ("300", 300), (None, 60), (0, 1), (-5, 1), (float("nan"), 1)]
)
def test_a_token_lives_as_long_as_it_is_told(told: object, life: float) -> None:
    token = read_token({"access_token": "t", "expires_in": told}, 100)
    assert token.expires_at == 100 + life
    assert 100 < token.renew_at < token.expires_at


def test_a_token_is_not_shown() -> None:
    assert "c4nary" not in repr(read_token({"access_token": "c4nary"}, 0))
