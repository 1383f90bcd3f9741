"""Role `sales-processor`: each record with its place in the log, what is done with it, and that it is done."""

from collections import Counter
from typing import Any

import structlog

from services.consumer.handler import Source
from services.consumer.recent import Recent
from tandem.schemas.sales import SalesRecord

log = structlog.get_logger()

_MOST_PRODUCTS = 1000  # what a product is, the records say


class SalesProcessor:
    """Keeps revenue and pieces of the thousand products sold last; sums in cents, which don't round."""

    def __init__(self) -> None:
        self._sales = 0
        self._cents = 0
        self._pieces: Recent[str, int] = Recent(_MOST_PRODUCTS)

    def handle(self, sale: SalesRecord, source: Source) -> None:
        where = {"key": source.key, "partition": source.partition, "offset": source.offset}
        log.info("sale_received", **where)
        log.info(
            "sale_processing",
            sale=sale.id,
            customer=sale.customer,
            product=sale.product,
            quantity=sale.quantity,
            amount=f"{sale.amount:.2f}",
            date=sale.date.isoformat(),
        )
        self._sales += 1
        self._cents += round(sale.amount * 100)
        self._pieces[sale.product] = self._pieces.get(sale.product, 0) + sale.quantity
        log.info("sale_processed", sale=sale.id, **where)

    def report(self) -> tuple[str, dict[str, Any]]:
        return "sales_report", {
            "sales": self._sales,
            "amount": f"{self._cents / 100:.2f}",
            "pieces_by_product": dict(Counter(self._pieces).most_common(20)),
        }
