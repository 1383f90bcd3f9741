"""`python -m services.consumer`: the consumer service."""

import sys

from services.consumer.service import serve
from tandem.runner import main
from tandem.settings import ConsumerSettings

if __name__ == "__main__":
    sys.exit(main(ConsumerSettings, serve))
