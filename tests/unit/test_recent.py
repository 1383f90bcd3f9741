from services.consumer.recent import Recent


def test_the_entry_that_was_not_set_for_longest_makes_room() -> None:
    recent: Recent[str, int] = Recent(2)
    recent["first"] = 1
    recent["second"] = 2
    recent["first"] = 3
    recent["third"] = 4
    assert recent == {"first": 3, "third": 4}


def test_reading_an_entry_does_not_keep_it() -> None:
    recent: Recent[str, int] = Recent(2)
    recent["first"] = 1
    recent["second"] = 2
    assert recent["first"] == 1
    recent["third"] = 3
    assert "first" not in recent
