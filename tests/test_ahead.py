import threading

import pytest

from vidpose.video.ahead import Ahead


def test_items_come_in_order_and_end():
    assert list(Ahead(range(100))) == list(range(100))


def test_an_error_comes_after_the_items_before_it():
    def broken():
        yield 1
        yield 2
        raise ValueError("torn")

    seen = []
    with pytest.raises(ValueError, match="torn"):
        seen.extend(Ahead(broken()))
    assert seen == [1, 2]


def test_only_a_few_items_wait():
    made = []

    def items():
        for i in range(100):
            made.append(i)
            yield i

    ahead = Ahead(items())
    assert next(iter(ahead)) == 0
    threading.Event().wait(0.2)
    assert len(made) <= 5
    ahead.close()


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_closing_ends_the_thread(taken):
    before = threading.active_count()
    ahead = Ahead(iter(int, 1))
    items = iter(ahead)
    for _ in range(taken):
        next(items)
    ahead.close()
    assert threading.active_count() == before
