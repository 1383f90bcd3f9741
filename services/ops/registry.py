"""`tandem registry`: a real schema registry on this machine, Apicurio Registry, from nothing but Python."""

import asyncio
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.ops import server
from services.ops.registry_server import REGISTRY_PORT, SchemaRegistryServer
from tandem.errors import ExitStatus
from tandem.settings import LogSettings


class RegistryServerSettings(LogSettings):
    """Run a schema registry on this machine until stopped; its schemas are kept."""

    # The settings of a client of any registry begin with SCHEMA_REGISTRY_, those of this one with REGISTRY_.
    model_config = SettingsConfigDict(env_prefix="registry_", cli_prog_name="tandem registry")

    data: Path = Field(Path(".tandem/registry"), description="Folder for schemas and log")
    port: int = Field(REGISTRY_PORT, ge=0, le=65_535, description="Port; 0: any free one")
    heap: str = Field("256m", pattern=r"^[1-9]\d*[mMgG]$", description="Memory for its objects")
    fresh: bool = Field(default=False, description="Wipe the schemas first")


async def serve(settings: RegistryServerSettings, stop: asyncio.Event) -> ExitStatus:
    """Run the registry until `stop` is set. Raises UnavailableError when it does not come up, or does not live on."""
    registry = SchemaRegistryServer(
        data=settings.data, port=settings.port, heap=settings.heap, fresh=settings.fresh
    )
    return await server.serve("registry", registry, stop)
