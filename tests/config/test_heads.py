"""WebSockets that come together are made a few on a turn of the event loop."""

import asyncio

from config.heads import UPGRADES, Upgrades


async def test_a_turn_of_the_loop_makes_few_and_the_next_ones_the_others() -> None:
    made: list[int] = []
    upgrades = Upgrades(asyncio.get_running_loop())
    for number in range(2 * UPGRADES + 1):
        upgrades.add(lambda number=number: made.append(number))
    counts = []
    for _ in range(4):
        await asyncio.sleep(0)
        counts.append(len(made))
    assert counts == [0, UPGRADES, 2 * UPGRADES, 2 * UPGRADES + 1]
    assert made == sorted(made)


async def test_one_that_cannot_be_made_keeps_no_other_out() -> None:
    made: list[int] = []
    errors: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    upgrades = Upgrades(loop)

    def break_down() -> None:
        raise ValueError("no WebSocket")

    upgrades.add(break_down)
    for number in range(3):
        upgrades.add(lambda number=number: made.append(number))
    for _ in range(3):
        await asyncio.sleep(0)
    assert made == [0, 1, 2] and len(errors) == 1
