"""What the roles of the streams `sales` and `shoes` say and know."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace
from structlog.testing import capture_logs

from services.consumer.handler import Source
from services.consumer.handlers.sales import SalesProcessor
from services.consumer.handlers.shoes import ShoeCatalogue
from tandem.schemas.sales import SalesRecord
from tandem.schemas.shoes import Shoe

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
SOURCE = Source("topic", 2, 41, b"key", 0)
SALE = SalesRecord("PRODUCER_001", "CUST007", "Mouse", 2, 59.8, NOW)
SHOE = Shoe(
    id="SHOE-00001",
    brand="Puma",
    model="Suede Classic",
    category="sneaker",
    size=42.5,
    colour="navy",
    material="suede",
    price=85.0,
    currency="EUR",
    stock=10,
    release_year=2015,
    updated_at=NOW,
)


def test_a_sale_is_told_with_its_place_what_it_is_and_that_it_is_done() -> None:
    with capture_logs() as lines:
        SalesProcessor().handle(SALE, SOURCE)
    received, processing, processed = lines
    where = {"key": b"key", "partition": 2, "offset": 41}
    assert received == {"event": "sale_received", "log_level": "info", **where}
    assert processing["event"] == "sale_processing"
    assert (processing["product"], processing["quantity"], processing["amount"]) == ("Mouse", 2, "59.80")
    assert processed == {"event": "sale_processed", "log_level": "info", "sale": "PRODUCER_001", **where}


def test_sales_are_counted_in_pieces_and_in_cents() -> None:
    processor = SalesProcessor()
    for sale in (SALE, SALE, replace(SALE, product="Laptop", quantity=1, amount=0.1)):
        processor.handle(sale, SOURCE)
    assert processor.report() == (
        "sales_report",
        {"sales": 3, "amount": "119.70", "pieces_by_product": {"Mouse": 4, "Laptop": 1}},
    )


def test_products_without_end_do_not_fill_the_report_or_the_memory() -> None:
    processor = SalesProcessor()
    for number in range(3000):
        processor.handle(replace(SALE, product=f"product {number}"), SOURCE)
    _, report = processor.report()
    assert len(report["pieces_by_product"]) == 20
    assert len(processor._pieces) == 1000


def test_a_catalogue_knows_the_latest_state_of_each_article() -> None:
    catalogue = ShoeCatalogue()
    for shoe in (
        SHOE,
        replace(SHOE, id="SHOE-00002", brand="Vans"),
        replace(SHOE, stock=0, updated_at=LATER),
    ):
        catalogue.handle(shoe, SOURCE)
    assert catalogue.report() == (
        "catalogue_report",
        {"articles": 2, "by_brand": {"Puma": 1, "Vans": 1}, "pieces": 10, "sold_out": 1},
    )


def test_a_change_is_told_with_what_was_before() -> None:
    catalogue = ShoeCatalogue()
    catalogue.handle(SHOE, SOURCE)
    with capture_logs() as lines:
        catalogue.handle(replace(SHOE, price=68.0), SOURCE)
        catalogue.handle(replace(SHOE, price=68.0, stock=9), SOURCE)
    assert [line["event"] for line in lines] == ["shoe_updated", "shoe_updated"]
    assert (lines[0]["price_before"], lines[0]["price"]) == ("85.00 EUR", "68.00 EUR")
    assert "stock_before" not in lines[0]
    assert (lines[1]["stock_before"], lines[1]["stock"]) == (10, 9)


def test_an_older_state_changes_nothing() -> None:
    """Records come again after a crash, and may come late."""
    catalogue = ShoeCatalogue()
    catalogue.handle(replace(SHOE, stock=3, updated_at=LATER), SOURCE)
    with capture_logs() as lines:
        catalogue.handle(SHOE, SOURCE)
    assert [line["event"] for line in lines] == ["shoe_outdated"]
    assert catalogue.report()[1]["pieces"] == 3


def test_a_catalogue_forgets_what_had_no_news_for_longest() -> None:
    catalogue = ShoeCatalogue(most=2)
    for number in (1, 2, 1, 3):
        catalogue.handle(replace(SHOE, id=f"SHOE-{number}", stock=number), SOURCE)
    assert catalogue.report()[1]["articles"] == 2
    assert catalogue.report()[1]["pieces"] == 4
