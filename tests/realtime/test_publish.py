"""A hint reaches a hub's channel, and never hurts its sender."""

import socket
import time
from functools import partial

import pytest
from channels.layers import get_channel_layer
from django.db import transaction
from redis import Redis

from realtime import publish as door
from realtime.publish import group_of, publish


@pytest.fixture(autouse=True)
def fresh_door(monkeypatch):
    monkeypatch.setattr(door, "_skip_until", 0.0)


async def received(stream, send):
    """Return the message that the layer gives a hub in the group of `stream` once `send` has run."""
    import asyncio

    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(group_of(stream), channel)
    await asyncio.to_thread(send)
    message = await asyncio.wait_for(layer.receive(channel), 5)
    await layer.flush()
    return message


async def test_a_hint_arrives_through_the_layer_as_the_layer_itself_would_send_it():
    message = await received("job:0198-x", partial(door._send, "job:0198-x", 42, False))

    assert message == {"type": "hint", "stream": "job:0198-x", "version": 42}


def test_a_hint_is_under_100_bytes():
    stream = "job:019a0000-0000-7000-8000-000000000000"
    message = {"type": "hint", "stream": stream, "version": 2**40, "urgent": True}

    assert len(door._layer().serialize(message)) < 100


@pytest.mark.django_db(transaction=True)
def test_nothing_is_sent_before_the_commit_or_after_a_rollback(monkeypatch):
    sent = []
    monkeypatch.setattr(door, "_send", lambda *hint: sent.append(hint))

    with transaction.atomic():
        publish("job:x", 1)
        assert sent == []
    assert sent == [("job:x", 1, False)]

    with transaction.atomic():
        publish("job:x", 2)
        transaction.set_rollback(True)
    assert sent == [("job:x", 1, False)]


def test_a_redis_that_does_not_answer_costs_one_short_wait_and_is_then_left_alone(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        once = door.Retry(door.NoBackoff(), 0)
        client = Redis.from_url(
            url, socket_timeout=door.TIMEOUT, socket_connect_timeout=door.TIMEOUT, retry=once
        )
        monkeypatch.setattr(door, "_redis", lambda: client)

        first = duration(lambda: door._send("job:x", 1, False))
        second = duration(lambda: door._send("job:x", 2, False))

    assert first < 1
    assert second < 0.05
    assert door._skip_until > time.monotonic()


def duration(call):
    start = time.monotonic()
    call()
    return time.monotonic() - start
