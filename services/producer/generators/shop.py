"""New orders of an online shop: the same people come back, some of them often, and buy what suits their purse."""

from datetime import UTC, datetime
from random import Random
from typing import NamedTuple
from unicodedata import normalize
from uuid import UUID

from tandem.schemas.shop import Item, PaymentMethod, ShopEvent, ShopOrder


class _Person(NamedTuple):
    """A customer: the same number is the same person in every run."""

    user: str
    name: str
    email: str
    ip: str
    city: str
    country: str


# fmt: off
# The lengths have no common divisor, so that names, cities and addresses combine in many ways.
_FIRST = (
    "Ada", "Amir", "Anaïs", "Bruno", "Carla", "Chen", "Dariusz", "Elif", "Emma", "Fatou", "Grace", "Hugo", "Ines",
    "Ivan", "Jamal", "Jürgen", "Kenji", "Lea", "Mateo", "Nora", "Olga", "Priya", "Rosa", "Sam", "Tomás",
)
_LAST = (
    "Almeida", "Bauer", "Cohen", "Dubois", "Eriksson", "Ferrari", "García", "Haddad", "Ito", "Jansen", "Kowalski",
    "Lindqvist", "Müller", "Novák", "O'Brien", "Okafor", "Patel", "Rossi", "Silva", "Tanaka", "Wang", "Yildiz",
)
_PLACES = (
    ("Amsterdam", "NL"), ("Berlin", "DE"), ("Boston", "US"), ("Delhi", "IN"), ("Istanbul", "TR"), ("Kraków", "PL"),
    ("Lagos", "NG"), ("Lisbon", "PT"), ("London", "GB"), ("Lyon", "FR"), ("Madrid", "ES"), ("Milan", "IT"),
    ("Osaka", "JP"), ("Prague", "CZ"), ("Stockholm", "SE"), ("Toronto", "CA"), ("Vienna", "AT"),
)
# fmt: on
_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")  # for documentation (RFC 5737): they belong to nobody

# Pieces sold for each other piece, and the usual price in cents.
_PRODUCTS = {
    "USB Cable": (12, 9_99),
    "Mouse": (10, 24_90),
    "Phone Case": (10, 19_00),
    "Keyboard": (8, 59_90),
    "Headphones": (8, 89_00),
    "Webcam": (6, 69_00),
    "Desk Lamp": (5, 39_50),
    "Backpack": (5, 74_95),
    "Microphone": (4, 119_00),
    "Speaker": (4, 149_00),
    "Monitor": (4, 279_00),
    "Tablet": (3, 449_00),
    "Office Chair": (2, 329_00),
    "Phone": (3, 799_00),
    "Camera": (1, 949_00),
    "Laptop": (2, 1299_00),
}
_PAYMENT: dict[PaymentMethod, int] = {"card": 55, "paypal": 25, "bank_transfer": 12, "invoice": 8}
_AWAY = 0.05  # of the orders come from somewhere else than usual


class ShopGenerator:
    """Makes OrderCreated events; what becomes of an order is for others to decide. Users are `user_0001` and so on."""

    def __init__(self, random: Random, users: int) -> None:
        self._random = random
        self._users = users

    def take(self, count: int, now_ms: int) -> list[ShopEvent]:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        return [self._created(now) for _ in range(count)]

    def _created(self, now: datetime) -> ShopEvent:
        order = self._order(now)
        return ShopEvent(
            event_id=str(UUID(int=self._random.getrandbits(128), version=4)),
            event_type="OrderCreated",
            occurred_at=now,
            correlation_id=order.order_id,
            order=order,
        )

    def _order(self, now: datetime) -> ShopOrder:
        # The power makes the lower numbers more frequent: a tenth of the users makes a fifth of the orders.
        person = _person(1 + int(self._users * self._random.random() ** 1.5))
        items = self._items()
        return ShopOrder(
            order_id=f"ORD-{self._random.getrandbits(48):012X}",
            user=person.user,
            name=person.name,
            email=person.email,
            ip=_ip(self._random.randrange(762)) if self._random.random() < _AWAY else person.ip,
            city=person.city,
            country=person.country,
            items=items,
            total=sum(item.quantity * round(item.price * 100) for item in items) / 100,
            payment_method=self._random.choices(list(_PAYMENT), list(_PAYMENT.values()))[0],
            created_at=now,
        )

    def _items(self) -> list[Item]:
        weights = [weight for weight, _ in _PRODUCTS.values()]
        lines = self._random.choices((1, 2, 3, 4), (55, 28, 12, 5))[0]
        # In the order they were drawn in; a product drawn twice makes one line.
        products = dict.fromkeys(self._random.choices(list(_PRODUCTS), weights, k=lines))
        return [self._item(product) for product in products]

    def _item(self, product: str) -> Item:
        usual = _PRODUCTS[product][1]
        price = round(usual * self._random.choice((1.0, 1.0, 1.0, 0.95, 0.9, 0.8))) / 100
        return Item(product, self._random.choices((1, 2, 3), (80, 15, 5))[0], price)


def _person(number: int) -> _Person:
    first, last = _FIRST[number % len(_FIRST)], _LAST[number * 5 % len(_LAST)]
    city, country = _PLACES[number * 3 % len(_PLACES)]
    return _Person(
        user=f"user_{number:04}",
        name=f"{first} {last}",
        email=f"{_plain(first)}.{_plain(last)}.{number}@example.com",
        ip=_ip(number),
        city=city,
        country=country,
    )


def _plain(name: str) -> str:
    """A name as it stands in an address."""
    letters = normalize("NFKD", name).encode("ascii", "ignore").decode()
    return letters.replace("'", "").lower()


def _ip(number: int) -> str:
    return f"{_NETWORKS[number % 3]}.{1 + number // 3 % 254}"
