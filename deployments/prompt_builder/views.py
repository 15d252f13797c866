"""What follows from a schema and takes a while to make, kept for the schemas of several callers."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

View = TypeVar("View")

# Callers of one policy and organization share a schema; an indexed schema takes some megabytes.
MOST_VIEWS = 16


class Views(Generic[View]):
    """The views used last, by a key that stands for all that they are made of."""

    def __init__(self, most: int = MOST_VIEWS) -> None:
        self._most = most
        self._views: OrderedDict[Hashable, View] = OrderedDict()

    async def get(
        self, key: Hashable, make: Callable[[], View], is_current: Callable[[View], bool] = lambda _: True
    ) -> View:
        """The view of a key, made in a thread if there is none or ``is_current`` does not hold for it."""
        view = self._views.get(key)
        if view is None or not is_current(view):
            view = await asyncio.to_thread(make)
            self._views[key] = view
        self._views.move_to_end(key)
        while len(self._views) > self._most:
            self._views.popitem(last=False)
        return view
