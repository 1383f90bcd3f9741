"""`python -m services.producer`: the producer service."""

import sys

from services.producer.service import serve
from tandem.runner import main
from tandem.settings import ProducerSettings

if __name__ == "__main__":
    sys.exit(main(ProducerSettings, serve))
