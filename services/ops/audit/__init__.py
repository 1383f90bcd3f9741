"""`tandem audit`: every message accounted for, by name."""

from services.ops.audit.command import serve
from services.ops.audit.settings import AuditSettings

__all__ = ["AuditSettings", "serve"]
