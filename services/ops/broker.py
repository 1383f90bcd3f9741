"""`tandem broker`: real Kafka on this machine, from nothing but Python."""

import asyncio
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from services.ops import server
from services.ops.cluster import KafkaCluster
from tandem.errors import ExitStatus
from tandem.settings import LogSettings


class BrokerSettings(LogSettings):
    """Run Apache Kafka on this machine until stopped; its data are kept."""

    # A PORT or DATA in the environment or in `.env` is likely meant for another program: ours is BROKER_PORT.
    model_config = SettingsConfigDict(env_prefix="broker_", cli_prog_name="tandem broker")

    data: Path = Field(Path(".tandem/kafka"), description="Folder for data and logs")
    port: int = Field(
        9092, ge=0, le=65_531, description="Port of the first broker, the others follow; 0: any free ones"
    )
    brokers: int = Field(
        1,
        ge=1,
        le=5,
        description="1, 3 or 5; from 3 on, topics have 3 replicas and survive the loss of a broker",
    )
    heap: str = Field("256m", pattern=r"^[1-9]\d*[mMgG]$", description="Memory for each broker's objects")
    fresh: bool = Field(default=False, description="Wipe the data first")

    @field_validator("brokers")
    @classmethod
    def _odd(cls, brokers: int) -> int:
        if brokers % 2 == 0:
            raise ValueError("takes 1, 3 or 5: an even number survives no more losses than one broker less")
        return brokers


async def serve(settings: BrokerSettings, stop: asyncio.Event) -> ExitStatus:
    """Run the cluster until `stop` is set. Raises UnavailableError when it does not come up, or does not live on."""
    cluster = KafkaCluster(
        data=settings.data,
        port=settings.port,
        brokers=settings.brokers,
        heap=settings.heap,
        fresh=settings.fresh,
    )
    return await server.serve("broker", cluster, stop)
