"""A catalogue of shoes that lives: articles are added, sold, restocked, marked down and marked up again."""

from datetime import UTC, datetime
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from tandem.schemas.shoes import Category, Shoe


class _Model(NamedTuple):
    """What a maker offers; `price` is the full one, in euros."""

    brand: str
    name: str
    category: Category
    materials: tuple[str, ...]
    price: float
    release_year: int


_MODELS = (
    _Model("Adidas", "Samba OG", "sneaker", ("leather", "suede"), 120.00, 2018),
    _Model("Adidas", "Adizero Boston", "running", ("mesh",), 160.00, 2023),
    _Model("Nike", "Air Force 1", "sneaker", ("leather",), 119.99, 2007),
    _Model("Nike", "Pegasus", "running", ("mesh",), 139.99, 2024),
    _Model("Puma", "Suede Classic", "sneaker", ("suede",), 85.00, 2015),
    _Model("New Balance", "574", "sneaker", ("suede", "mesh"), 110.00, 2016),
    _Model("Asics", "Gel-Kayano", "running", ("mesh",), 200.00, 2024),
    _Model("Hoka", "Clifton", "running", ("mesh",), 150.00, 2023),
    _Model("Converse", "Chuck Taylor All Star", "sneaker", ("canvas", "leather"), 75.00, 2013),
    _Model("Vans", "Old Skool", "sneaker", ("canvas", "suede"), 80.00, 2014),
    _Model("Salomon", "X Ultra", "hiking", ("mesh", "nubuck"), 140.00, 2022),
    _Model("Lowa", "Renegade Mid", "hiking", ("nubuck", "leather"), 240.00, 2019),
    _Model("Dr. Martens", "1460", "boot", ("leather", "vegan leather"), 199.00, 2012),
    _Model("Timberland", "6-Inch Premium", "boot", ("nubuck",), 220.00, 2011),
    _Model("Clarks", "Desert Boot", "boot", ("suede", "leather"), 140.00, 2010),
    _Model("Lloyd", "Oxford", "formal", ("leather", "patent leather"), 179.95, 2020),
    _Model("Birkenstock", "Arizona", "sandal", ("leather", "cork", "vegan leather"), 100.00, 2009),
    _Model("Teva", "Hurricane", "sandal", ("polyester",), 85.00, 2021),
)
_COLOURS = ("black", "white", "navy", "grey", "brown", "tan", "olive", "burgundy", "red", "sand")
_SIZES = [number / 2 for number in range(70, 97)]  # 35 to 48
_MARKDOWNS = (1.0, 1.0, 0.9, 0.8, 0.7, 0.5)

_OPENING = 20  # articles that are there before the first one changes
_ARTICLES = 500  # in the catalogue at a time: a new one then takes the place of the oldest
_NEW = 0.2  # of the events; the others change an article


class ShoeGenerator:
    """Numbers its articles from `SHOE-00001`. What it knows of an article is what it said of it last."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._made = 0
        self._catalogue: list[tuple[Shoe, _Model]] = []

    def take(self, count: int, now_ms: int) -> list[Shoe]:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        return [self._event(now) for _ in range(count)]

    def _event(self, now: datetime) -> Shoe:
        if self._made < _OPENING or self._random.random() < _NEW:
            return self._add(now)
        slot = self._random.randrange(len(self._catalogue))
        shoe, model = self._catalogue[slot]
        changed = self._change(replace(shoe, updated_at=now), model)
        self._catalogue[slot] = changed, model
        return changed

    def _add(self, now: datetime) -> Shoe:
        model = self._random.choice(_MODELS)
        slot = self._made % _ARTICLES
        self._made += 1
        shoe = Shoe(
            id=f"SHOE-{self._made:05}",
            brand=model.brand,
            model=model.name,
            category=model.category,
            size=self._random.choice(_SIZES),
            colour=self._random.choice(_COLOURS),
            material=self._random.choice(model.materials),
            price=model.price,
            currency="EUR",
            stock=self._random.randint(5, 60),
            release_year=model.release_year,
            updated_at=now,
        )
        self._catalogue[slot : slot + 1] = [(shoe, model)]
        return shoe

    def _change(self, shoe: Shoe, model: _Model) -> Shoe:
        """Sell some, or restock what is sold out; now and then set another price."""
        if self._random.random() < 0.25:
            return replace(shoe, price=round(model.price * self._random.choice(_MARKDOWNS), 2))
        if shoe.stock == 0:
            return replace(shoe, stock=self._random.randint(20, 60))
        return replace(shoe, stock=max(0, shoe.stock - self._random.randint(1, 4)))
