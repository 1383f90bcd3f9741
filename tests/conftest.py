"""For all tests."""

from hypothesis import HealthCheck, settings

# A busy machine may stall any example; what must be fast is measured, not tested.
settings.register_profile("tandem", deadline=None)
# `make fuzz`: what takes minutes is not tried at every change.
settings.register_profile("fuzz", deadline=None, max_examples=1500, suppress_health_check=list(HealthCheck))
settings.load_profile("tandem")
