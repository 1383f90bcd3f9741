"""Role `shoe-catalogue`: the latest state of each article, and how many there are of each brand."""

from collections import Counter
from typing import Any

import structlog

from services.consumer.handler import Source
from services.consumer.recent import Recent
from tandem.schemas.shoes import Shoe

log = structlog.get_logger()

_MOST_ARTICLES = 100_000  # some 60 MB


class ShoeCatalogue:
    """Knows the articles that it has heard of since its start: all of the log's, when it starts --from-beginning.

    Of more than `most` it forgets those without news for longest, so that memory stays bounded.
    """

    def __init__(self, most: int = _MOST_ARTICLES) -> None:
        self._latest: Recent[str, Shoe] = Recent(most)

    def handle(self, shoe: Shoe, _: Source) -> None:
        known = self._latest.get(shoe.id)
        line = {"shoe": shoe.id, "brand": shoe.brand, "model": shoe.model, "size": shoe.size}
        if known is None:
            log.info("shoe_added", **line, price=_price(shoe), stock=shoe.stock)
        elif shoe.updated_at < known.updated_at:
            # A record that came again, or late: what is known is newer.
            log.info("shoe_outdated", **line, updated_at=shoe.updated_at.isoformat())
            return
        else:
            log.info("shoe_updated", **line, price=_price(shoe), stock=shoe.stock, **_before(known, shoe))
        self._latest[shoe.id] = shoe

    def report(self) -> tuple[str, dict[str, Any]]:
        shoes = self._latest.values()
        return "catalogue_report", {
            "articles": len(shoes),
            "by_brand": dict(Counter(shoe.brand for shoe in shoes).most_common(20)),
            "pieces": sum(shoe.stock for shoe in shoes),
            "sold_out": sum(shoe.stock == 0 for shoe in shoes),
        }


def _price(shoe: Shoe) -> str:
    return f"{shoe.price:.2f} {shoe.currency}"


def _before(known: Shoe, shoe: Shoe) -> dict[str, Any]:
    """What price and stock were, where they changed."""
    price = {"price_before": _price(known)} if _price(known) != _price(shoe) else {}
    return price | ({"stock_before": known.stock} if known.stock != shoe.stock else {})
