from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.codec import JsonCodec
from tandem.errors import CodecError
from tandem.schemas import STREAMS
from tandem.schemas.bank import Transaction
from tandem.schemas.orders import Order

ORDER = Order(
    order_id="order_00001", customer_id="customer_002", amount=12.5, timestamp=1767225600000, category="Books"
)
ORDER_BYTES = b'{"orderId":"order_00001","customerId":"customer_002","amount":12.5,"timestamp":1767225600000,"category":"Books"}'
TRANSACTION = Transaction(
    account=1000,
    amount=-0.01,
    timestamp=datetime(2026, 1, 1, tzinfo=UTC),
    transaction_id="TXN-00000000000A",
    type="payment",
)


def test_an_order_has_the_field_names_of_its_contract() -> None:
    assert JsonCodec(Order).encode(ORDER) == ORDER_BYTES


def test_a_transaction_has_an_iso_8601_timestamp() -> None:
    value = msgspec.json.decode(JsonCodec(Transaction).encode(TRANSACTION))
    assert value == {
        "account": 1000,
        "amount": -0.01,
        "timestamp": "2026-01-01T00:00:00Z",
        "transaction_id": "TXN-00000000000A",
        "type": "payment",
    }


@pytest.mark.parametrize("event", [ORDER, TRANSACTION])
def test_an_event_comes_back_as_it_was(event: msgspec.Struct) -> None:
    codec = JsonCodec(type(event))
    assert codec.decode(codec.encode(event)) == event


def changed(**fields: object) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(ORDER_BYTES), **fields})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b"", "truncated"),
        (b"not json", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "Expected `object`"),
        (ORDER_BYTES[:-1], "truncated"),
        (ORDER_BYTES + b"x", "malformed"),
        (changed(amount="12.5"), r"\$.amount"),
        (changed(amount=1e300), r"\$.amount"),
        (changed(amount=-1), r"\$.amount"),
        (changed(timestamp=2**80), r"\$.timestamp"),
        (changed(category="Cars"), r"\$.category"),
        (changed(surprise=1), "unknown field `surprise`"),
        (changed(orderId="x" * 10_000), r"\$.orderId"),
        (b'{"orderId": "order_1"}', "missing required field"),
        (b'{"surprise": ' + b"[" * 100_000, "unknown field"),
        (b'{"orderId": ' + b"[" * 100_000, r"\$.orderId"),
        (b'{"timestamp": ' + b"9" * 100_000 + b"}", r"\$.timestamp|number"),
    ],
)
def test_what_is_no_order_says_why(value: bytes | None, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        JsonCodec(Order).decode(value)


def test_the_sign_of_an_amount_must_agree_with_its_type() -> None:
    value = JsonCodec(Transaction).encode(TRANSACTION).replace(b"-0.01", b"0.01")
    with pytest.raises(CodecError, match=r"amount 0.01 does not agree with type payment"):
        JsonCodec(Transaction).decode(value)


@given(st.sampled_from(sorted(STREAMS)), st.binary() | st.text().map(str.encode))
def test_any_bytes_are_an_event_or_a_codec_error(stream: str, value: bytes) -> None:
    codec = JsonCodec(STREAMS[stream].event)
    try:
        event = codec.decode(value)
    except CodecError:
        return
    assert codec.decode(codec.encode(event)) == event
