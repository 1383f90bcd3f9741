"""The roles: what a consumer does with events. One module a role, one entry each in ROLES."""

from services.consumer.handler import Role
from services.consumer.handlers.bank import TransactionMonitor
from services.consumer.handlers.bank_fraud import FraudDetector
from services.consumer.handlers.orders import OrderProcessor
from services.consumer.handlers.sales import SalesProcessor
from services.consumer.handlers.shoes import ShoeCatalogue
from services.consumer.handlers.shop.fraud_detection import FraudDetection
from services.consumer.handlers.shop.inventory import Inventory
from services.consumer.handlers.shop.notifications import Notifications
from services.consumer.handlers.shop.order_analytics import OrderAnalytics
from services.consumer.handlers.shop.payments import Payments
from services.consumer.handlers.shop.reporting import Reporting
from services.consumer.mail import mailer
from tandem.errors import SettingsError
from tandem.schemas import shop
from tandem.schemas.alerts import ALERTS
from tandem.settings import ConsumerSettings

_SHOP_STREAMING = ("order-events-stream", "payment-events-stream")

ROLES: dict[str, Role] = {
    "order-processor": Role("orders", lambda settings: OrderProcessor(settings.alert_amount)),
    "transaction-monitor": Role("bank", lambda settings: TransactionMonitor(settings.large_amount)),
    "fraud-detector": Role(
        "bank",
        lambda settings: FraudDetector(settings.fraud_amount, settings.fraud_count, settings.fraud_window),
        emits=(ALERTS,),
    ),
    "sales-processor": Role(
        "sales", lambda _: SalesProcessor(), group="sales-processor-group", announces=True
    ),
    "shoe-catalogue": Role("shoes", lambda _: ShoeCatalogue()),
    "payments": Role(
        "shop",
        lambda settings: Payments(settings.payment_failure_rate),
        topics=("order-events", "inventory-events"),
        emits=(shop.STREAM,),
    ),
    "inventory": Role(
        "shop",
        lambda settings: Inventory(settings.stock),
        topics=("payment-events",),
        emits=(shop.STREAM,),
        restores="inventory-events",
    ),
    "notifications": Role("shop", lambda settings: Notifications(mailer(settings)), topics=("order-events",)),
    "order-analytics": Role(
        "shop", lambda settings: OrderAnalytics(settings.high_value_amount), topics=_SHOP_STREAMING
    ),
    "fraud-detection": Role(
        "shop",
        lambda settings: FraudDetection(settings.fraud_order_amount),
        topics=_SHOP_STREAMING,
        emits=(ALERTS,),
    ),
    "reporting": Role("shop", lambda _: Reporting(), topics=_SHOP_STREAMING),
}


def choose_role(settings: ConsumerSettings) -> str:
    """The role that ROLE names, or the first role of STREAM (default: orders).

    Raises SettingsError for an unknown role and for one that reads another stream than STREAM.
    """
    if settings.role is None:
        return next(name for name, role in ROLES.items() if role.stream == (settings.stream or "orders"))
    if settings.role not in ROLES:
        raise SettingsError(
            f"ROLE={settings.role} is no role; there are: {', '.join(ROLES)}", "Set ROLE to one of them"
        )
    reads = ROLES[settings.role].stream
    if settings.stream not in {None, reads}:
        raise SettingsError(
            f"ROLE={settings.role} reads the stream {reads}, but STREAM={settings.stream}",
            f"Leave STREAM out, or set it to {reads}",
        )
    return settings.role
