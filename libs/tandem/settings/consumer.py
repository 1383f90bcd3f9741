"""What the consumer takes."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from tandem.durations import Duration
from tandem.schemas import STREAMS
from tandem.settings.services import ServiceSettings
from tandem.settings.types import (
    Delays,
    ExceptionNames,
    Lower,
    MailAddress,
    SmtpUrl,
    Start,
    StreamName,
    Time,
)


class ConsumerSettings(ServiceSettings):
    """Handles every event at least once, in order per key, and commits only what is handled."""

    model_config = SettingsConfigDict(cli_prog_name="python -m services.consumer")

    stream: StreamName | None = Field(
        None, description=f"What to consume: {', '.join(STREAMS)} (default: the role's own)"
    )
    role: str | None = Field(
        None,
        description="What to do with the events: order-processor, transaction-monitor, fraud-detector,"
        " sales-processor, shoe-catalogue, payments, inventory, notifications, order-analytics, fraud-detection,"
        " reporting (default: the stream's first)",
    )
    group_id: str | None = Field(
        None,
        min_length=1,
        max_length=249,
        description="Consumer group; another group gets everything again (default: the role)",
    )
    auto_offset_reset: Annotated[Literal["earliest", "latest", "none"], Lower] = Field(
        "earliest", description="Where a group without committed offsets starts"
    )
    from_beginning: bool = Field(default=False, description="Start over: the same as --offset beginning")
    offset: Start | None = Field(
        None,
        description="Move the group before the start: beginning, end, or s@<ms> for a time in epoch milliseconds",
    )
    session_timeout: Time = Field(
        Duration(30), description="A consumer that is silent for so long loses its partitions to the others"
    )
    group_instance_id: str | None = Field(
        None,
        min_length=1,
        max_length=249,
        description="Static membership: a name that this process alone has in its group, and keeps over restarts",
    )
    max_poll_interval: Time = Field(
        Duration(300), description="A consumer that fetches nothing for so long leaves its group"
    )
    stall_timeout: Time = Field(
        Duration(60),
        description="Join the group anew when for so long nothing was resolved and nothing came, although there is lag",
    )
    commit_interval: Time = Field(
        Duration(1), description="Longest time between two commits while there is work"
    )
    commit_records: int = Field(1000, gt=0, description="Commit after so many records, if that comes first")
    concurrency: int = Field(
        1, gt=0, le=1000, description="Events of a partition handled at the same time, in order per key"
    )
    handler_timeout: Time = Field(
        Duration(30), description="Longest time for one event, if its handler waits for something"
    )
    retry_attempts: int = Field(
        4, gt=0, le=1_000_000, description="How often an event is tried in place, the first time included"
    )
    retry_backoff: Time = Field(
        Duration(0.2),
        description="Longest delay before the second try; it doubles with each, with full jitter",
    )
    retry_max_backoff: Time = Field(Duration(10), description="What that delay does not grow beyond")
    retry_deadline: Time = Field(
        Duration(30), description="No try in place begins later than so long after the first failure"
    )
    retry_never: ExceptionNames = Field(
        (
            "ArithmeticError",
            "AssertionError",
            "AttributeError",
            "LookupError",
            "NotImplementedError",
            "TypeError",
            "ValueError",
        ),
        description="Exceptions that no try heals, with all that derive from them: straight to the dead letters",
    )
    retry_delays: Delays = Field(
        (),
        description="Then by way of retry topics, one for each delay, such as 30s,5m (default: none)",
    )
    retry_keep_order: bool = Field(
        default=False,
        description="Later events of a key that waits in a retry topic wait behind it (needs RETRY_DELAYS)",
    )
    unknown_schema_timeout: Time = Field(
        Duration(30),
        description="How long an event waits whose schema the registry, which answers, does not know; then it is a dead letter",
    )
    dead_letter_stacktrace: bool = Field(
        default=False, description="Dead letters carry the stack trace, too: at most 4 kB"
    )
    large_amount: float = Field(
        900, gt=0, description="Flag transactions above it (role transaction-monitor)"
    )
    alert_amount: float = Field(400, gt=0, description="Alert on orders above it (role order-processor)")
    fraud_amount: float = Field(990, gt=0, description="Alert on transactions above it (role fraud-detector)")
    fraud_count: int = Field(
        5, gt=0, le=1000, description="Alert above so many transactions of an account (role fraud-detector)"
    )
    fraud_window: Time = Field(Duration(60), description="Within this time (role fraud-detector)")
    payment_failure_rate: float = Field(
        0.1, ge=0, le=1, description="Part of the payments that fail: 0 to 1 (role payments)"
    )
    stock: int = Field(
        6,
        ge=0,
        le=1_000_000,
        description="Pieces of each product that a partition's shelf has at the start of each minute (role inventory)",
    )
    smtp_url: SmtpUrl = Field(
        None,
        description="Server that takes the mails: smtp://user:password@host:587, or smtps:// (role notifications;"
        " default: they are only logged)",
    )
    smtp_from: MailAddress = Field("shop@example.com", description="Sender of the mails (role notifications)")
    high_value_amount: float = Field(
        1000, gt=0, description="What an order is above to count as a high-value one (role order-analytics)"
    )
    fraud_order_amount: float = Field(
        2500, gt=0, description="Alert on orders above it (role fraud-detection)"
    )

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.from_beginning and self.offset not in {None, "beginning"}:
            raise ValueError("--from-beginning and --offset name two starts; keep one")
        return self

    @model_validator(mode="after")
    def _times_that_fit(self) -> Self:
        if self.handler_timeout >= self.max_poll_interval:
            raise ValueError(
                f"HANDLER_TIMEOUT={self.handler_timeout} must be shorter than MAX_POLL_INTERVAL={self.max_poll_interval},"
                " or the group would take the partition away in the middle of an event"
            )
        if self.retry_keep_order and not self.retry_delays:
            raise ValueError("RETRY_KEEP_ORDER is for RETRY_DELAYS; set them, for example 30s,5m")
        return self
