"""`python -m services.producer`: the producer, in the mode that the settings name."""

import sys

from services.producer.modes import serve
from tandem.runner import main
from tandem.settings import ProducerSettings

if __name__ == "__main__":
    sys.exit(main(ProducerSettings, serve))
