"""What the producer takes."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import SettingsConfigDict

from tandem.durations import Duration
from tandem.schemas import STREAMS
from tandem.settings.services import ServiceSettings
from tandem.settings.types import Bursts, EventInterval, Lower, RampedPace, SteadyPace, StreamName, Time

Mode = Literal["continuous", "auto", "load", "interactive", "producer-only", "consumer-only"]


class ProducerSettings(ServiceSettings):
    """Streams business events to Kafka: all of them acknowledged, each with a known fate."""

    model_config = SettingsConfigDict(cli_prog_name="python -m services.producer")

    mode: Annotated[Mode, Lower] = Field(
        "continuous",
        description="continuous: the service; auto: send 3 messages and consume them; load: 50 at full speed;"
        " interactive: a prompt, the consumer beside it; producer-only: the prompt alone;"
        " consumer-only: only the consumer",
    )
    stream: StreamName = Field("orders", description=f"What to produce: {', '.join(STREAMS)}")
    message_interval: EventInterval | None = Field(
        None,
        description="Time between two events: 500ms, 1s, or 2s-4s for a random one (default: the stream's own)",
    )
    rate: SteadyPace | None = Field(
        None, description="Messages a second, instead of an interval: 100 or 100/s"
    )
    ramp: RampedPace | None = Field(
        None, description="Rate that changes: 1-100/60s is from 1 to 100 messages a second within 60 s"
    )
    burst: Bursts | None = Field(
        None, description="Bursts on top of the pace: 20x5s/60s is 20 times the pace for 5 s in every 60 s"
    )
    producers: int = Field(
        1, gt=0, le=100, description="Producers in this process, each at this pace and with a run of its own"
    )
    seed: int | None = Field(None, description="Same seed, same events, intervals and faults")
    customers: int | None = Field(
        None,
        gt=0,
        le=10_000_000,
        description="Customers who order (default: 5 in the stream orders, 200 in shop)",
    )
    max_messages: int | None = Field(
        None,
        gt=0,
        validation_alias=AliasChoices("max_messages", "count"),
        description="End after so many events, over all producers",
    )
    duration: Time | None = Field(None, description="End after this time")
    ledger_interval: Time = Field(
        Duration(5), description="Time between two editions of the ledger, while something changes"
    )
    unacked_file: Path | None = Field(
        None, description="File for the records that were not acknowledged; `tandem resend` sends them"
    )
    fault_malformed: float = Field(
        0, ge=0, le=1, description="Part of the events whose bytes are spoiled: 0 to 1"
    )
    fault_duplicate: float = Field(
        0, ge=0, le=1, description="Part of the events that are sent twice: 0 to 1"
    )
    fault_late: float = Field(
        0, ge=0, le=1, description="Part of the events that happened a minute to an hour ago: 0 to 1"
    )

    @model_validator(mode="after")
    def _one_pace(self) -> Self:
        paces = {"MESSAGE_INTERVAL": self.message_interval, "RATE": self.rate, "RAMP": self.ramp}
        given = [name for name, pace in paces.items() if pace is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} each set the pace; keep one")
        if self.ramp is not None and self.burst is not None:
            raise ValueError(
                "RAMP and BURST don't go together; put the BURST on a RATE or a MESSAGE_INTERVAL"
            )
        return self

    @model_validator(mode="after")
    def _one_fault_an_event(self) -> Self:
        rates = (self.fault_malformed, self.fault_duplicate, self.fault_late)
        if round(sum(rates), 9) > 1:  # 0.33 + 0.56 + 0.11 is above one by a rounding error
            raise ValueError(
                f"FAULT_MALFORMED, FAULT_DUPLICATE and FAULT_LATE add up to {sum(rates):.3g}, and an event has at most"
                " one fault; lower them to 1 in all, for example 0.01 each"
            )
        return self
