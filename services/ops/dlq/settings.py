"""What `tandem dlq` takes."""

from typing import Annotated, Literal, Self

from pydantic import Field, PlainValidator, model_validator
from pydantic_settings import CliPositionalArg, NoDecode, SettingsConfigDict

from services.ops.dlq.letter import At, milliseconds
from tandem.schemas import STREAMS
from tandem.settings import StreamName
from tandem.settings.flags import FlagSettings
from tandem.settings.types import SteadyPace

_MILLISECONDS = "s@"


def _moment(value: object) -> int:
    text = str(value)
    try:
        milli = text.removeprefix(_MILLISECONDS)
        return int(milli) if text.startswith(_MILLISECONDS) and len(milli) < 18 else milliseconds(text)
    except ValueError:
        raise ValueError(
            "takes a time such as 2026-01-31T12:00:00Z (UTC unless it says otherwise), or s@<epoch milliseconds>"
        ) from None


Moment = Annotated[int, PlainValidator(_moment)]
OneLetter = Annotated[
    At, NoDecode, PlainValidator(lambda value: value if isinstance(value, At) else At.parse(str(value)))
]

# Flags that mean something to one action only.
_FOR = {
    "records": "list",
    "dry_run": "redrive",
    "rate": "redrive",
    "max_replays": "redrive",
    "force": "purge",
    "yes": "purge",
}
_NOT_FOR_PURGE = ("max_letters", "all_letters")


class DlqSettings(FlagSettings):
    """Dead letters: list and show them, redrive them to their topics, purge them."""

    model_config = SettingsConfigDict(cli_prog_name="tandem dlq")

    action: CliPositionalArg[Literal["list", "show", "redrive", "purge"]] = Field(
        description="list: how many of which kind; show: all of each; redrive: send them back; purge: remove them"
    )
    stream: StreamName | None = Field(
        None, description=f"Only dead letters of {', '.join(STREAMS)} (default: all)"
    )
    exception: str | None = Field(None, description="Only letters with this exception")
    stage: str | None = Field(None, description="Only letters that failed there: decode, handle or emit")
    message_contains: str | None = Field(None, description="Only letters with this in the error's text")
    key: str | None = Field(None, description="Only letters with exactly this key")
    group: str | None = Field(None, description="Only letters of this consumer group")
    since: Moment | None = Field(
        None, description="Only letters that failed first at this time or later: ISO 8601, or s@<epoch ms>"
    )
    until: Moment | None = Field(None, description="Only letters that failed first at this time or before")
    at: OneLetter | None = Field(
        None, description="Only the letter at [TOPIC/]PARTITION/OFFSET; for purge: all up to it"
    )
    max_letters: int | None = Field(
        None, gt=0, validation_alias="max", description="At most so many letters (default: all)"
    )
    all_letters: bool = Field(
        default=False, validation_alias="all", description="Also letters that were redriven before"
    )
    json_output: bool = Field(
        default=False, validation_alias="json", description="Print a JSON object a line"
    )
    records: bool = Field(default=False, description="list: a line for each letter")
    dry_run: bool = Field(default=False, description="redrive: only say what would be sent where")
    rate: SteadyPace | None = Field(
        None, description="redrive: at most so many letters a second, for example 100/s"
    )
    max_replays: int = Field(
        3, ge=0, le=1000, description="redrive: letters sent back so often go to TOPIC-parking instead"
    )
    force: bool = Field(default=False, description="purge: also letters that were never redriven")
    yes: bool = Field(default=False, description="purge: do it; without, it only says what would go")

    @model_validator(mode="after")
    def _fit(self) -> Self:
        given = self.model_fields_set
        for name, action in _FOR.items():
            if name in given and self.action != action:
                raise ValueError(f"--{name.replace('_', '-')} is for {action}")
        if self.action == "purge" and given.intersection(_NOT_FOR_PURGE):
            raise ValueError("--max and --all are not for purge: it removes from the oldest letter on")
        return self
