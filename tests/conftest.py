"""For all tests."""

from hypothesis import settings

# A busy machine may stall any example; what must be fast is measured, not tested.
settings.register_profile("tandem", deadline=None)
settings.load_profile("tandem")
