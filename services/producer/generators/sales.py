"""Sales of a computer shop: ten products at fixed prices, a hundred customers."""

from datetime import UTC, datetime
from random import Random

from tandem.schemas.sales import SalesRecord

_PRICES = {
    "Laptop": 1199.00,
    "Monitor": 279.00,
    "Keyboard": 79.90,
    "Mouse": 29.90,
    "Headset": 89.00,
    "Webcam": 64.50,
    "Printer": 189.00,
    "Tablet": 449.00,
    "Docking Station": 159.00,
    "USB Cable": 9.95,
}
_CUSTOMERS = 100
_QUANTITIES, _OFTEN = (1, 2, 3, 5, 10), (60, 20, 10, 7, 3)  # most people buy one


class SalesGenerator:
    """Numbers its sales from `PRODUCER_001`; customers are `CUST001` to `CUST100`."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._sales = 0

    def take(self, count: int, now_ms: int) -> list[SalesRecord]:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        return [self._sale(now) for _ in range(count)]

    def _sale(self, now: datetime) -> SalesRecord:
        self._sales += 1
        product, price = self._random.choice(list(_PRICES.items()))
        (quantity,) = self._random.choices(_QUANTITIES, _OFTEN)
        return SalesRecord(
            id=f"PRODUCER_{self._sales:03}",
            customer=f"CUST{self._random.randint(1, _CUSTOMERS):03}",
            product=product,
            quantity=quantity,
            amount=round(quantity * price, 2),
            date=now,
        )
