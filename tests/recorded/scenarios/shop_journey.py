"""A journey through the reference API: browse, write one's own item, read it back.

An ordinary locustfile: `locust -f shop_journey.py --host http://127.0.0.1:8000` runs it too.
"""

import itertools
import random

from locust import FastHttpUser, HttpUser, constant, task

FIRST_OWN_ITEM = 9000
"""Browsers look at the items below; each writer has one above to itself."""
OWN_ITEMS = itertools.cycle(range(FIRST_OWN_ITEM, 10_000))
DRAW = random.Random(7)


class Shopper(FastHttpUser):
    """Looks at one item after the other. There are three of these for each writer."""

    weight = 3
    wait_time = constant(0.05)

    @task
    def browse(self) -> None:
        """One item, under one name for all of them."""
        self.client.get(f"/items/{DRAW.randrange(1, FIRST_OWN_ITEM)}", name="/items/[id]")


class Merchant(HttpUser):
    """Writes an item that nobody else writes, and sees whether it is there."""

    weight = 1
    wait_time = constant(0.1)

    def on_start(self) -> None:
        """Choose the item."""
        self.item = next(OWN_ITEMS)

    @task
    def write_and_read_back(self) -> None:
        """What was written must be what is read."""
        price_cents = DRAW.randrange(100, 100_000)
        wanted = {"name": f"item {self.item}", "price_cents": price_cents}
        path = f"/items/{self.item}"
        if self.client.put(path, json=wanted, name="/items/[id]").status_code != 200:
            return
        with self.client.get(path, name="/items/[id] again", catch_response=True) as read:
            if read.status_code == 200 and read.json()["price_cents"] != price_cents:
                read.failure("another price than the one written")
