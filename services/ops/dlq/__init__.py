"""`tandem dlq`: what became a dead letter, why, and the way back."""

from services.ops.dlq.command import serve
from services.ops.dlq.settings import DlqSettings

__all__ = ["DlqSettings", "serve"]
