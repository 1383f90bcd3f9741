"""The services on plain asyncio: `python -m tests.faults.loops` is the producer, with FAULTS_LOOP=asyncio."""

import asyncio
import os
import sys

import uvloop

from services.producer.modes import serve
from tandem.runner import main
from tandem.settings import ProducerSettings


def choose_loop() -> None:
    """Take the loop that FAULTS_LOOP names: uvloop's, which the services run on, or asyncio's own."""
    if os.environ.get("FAULTS_LOOP") == "asyncio":
        uvloop.new_event_loop = asyncio.new_event_loop  # type: ignore[assignment]  # the runner asks for it by this name


if __name__ == "__main__":
    choose_loop()
    sys.exit(main(ProducerSettings, serve))
