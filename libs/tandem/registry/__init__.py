"""The schema registry: ids of schemas, schemas of ids, and what it refuses, in words."""

from tandem.registry.registry import SchemaRegistry, open_registry

__all__ = ["SchemaRegistry", "open_registry"]
