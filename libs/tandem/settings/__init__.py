"""Every setting, declared once: an environment variable, a line of `.env` and a flag at the same time.

The variable is the field's name in capitals, the flag the same with dashes. A flag wins over the environment,
the environment over `.env`. Nothing else reads the environment.
"""

from tandem.settings.consumer import ConsumerSettings
from tandem.settings.kafka import KafkaSettings
from tandem.settings.log import LogSettings
from tandem.settings.producer import ProducerSettings
from tandem.settings.registry import RegistrySettings
from tandem.settings.services import ServiceSettings
from tandem.settings.topics import TopicSettings
from tandem.settings.types import Secret, StreamName, Time

__all__ = [
    "ConsumerSettings",
    "KafkaSettings",
    "LogSettings",
    "ProducerSettings",
    "RegistrySettings",
    "Secret",
    "ServiceSettings",
    "StreamName",
    "Time",
    "TopicSettings",
]
