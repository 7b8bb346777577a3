"""A hash table of counts by key, of bounded size: where keys become too many, all lose their last bit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer.statistics.order_keys import bit_patterns, key_of_bits
from scorefold.compiled import compiled

Counts = NDArray[np.int64]

_FREE = 0xFFFF_FFFF
"""Mark of a free slot: as a key it would be that of a NaN."""

_GOLDEN = 2_654_435_769
"""2³² / golden ratio: the first bits of its multiples, modulo 2³², scatter keys (Knuth, TAOCP 3, section 6.4)."""

_DIRECT = 1 << 16
"""The first 16 bits of its multiples are the key itself, if that has 16 bits."""


@dataclass(eq=False)
class KeyTable:
    """Working buffers of a histogram: rows of counts by key, found by open addressing.

    Parameters
    ----------
    capacity : int
        Largest number of keys, 2 or more.
    slots : ndarray of uint32, shape (2ᵏ,)
        The key in each slot; at least half of the slots are free, or there is one for each key of 16 bits.
    counts : ndarray of int64, shape (2ᵏ, channels)
        Counts of the key in each slot.
    multiplier : int
        What scatters the keys.
    used : int
        Number of keys, where that is bounded by less than the number of slots.
    dropped_bits : int
        How often all keys have lost their last bit.
    """

    capacity: int
    slots: NDArray[np.uint32]
    counts: Counts
    multiplier: int
    used: int = 0
    dropped_bits: int = 0

    @classmethod
    def empty(cls, capacity: int, channels: int, *, key_bits: int, dropped_bits: int = 0) -> "KeyTable":
        """Return a table without keys."""
        direct = key_bits == 16 and capacity == 1 << 16
        size = capacity if direct else 2 << (capacity - 1).bit_length()
        slots = np.full(size, _FREE, np.uint32)
        multiplier = _DIRECT if direct else _GOLDEN
        return cls(capacity, slots, np.zeros((size, channels), np.int64), multiplier, 0, dropped_bits)

    def tally(self, scores: NDArray[Any], channels: NDArray[np.uint8]) -> None:
        """Add one to the count of every score's key in its channel; NaN is passed over."""
        bits, sign = bit_patterns(scores)
        if self.multiplier == _DIRECT:
            _tally_directly(self.slots, self.counts, bits, channels, sign)
            return
        done = 0
        while done < bits.size:
            done, self.used = _tally(*self._buffers(), bits, channels, sign, done)
            if done < bits.size:
                self._coarsen()

    def add(self, keys: NDArray[Any], amounts: Counts) -> None:
        """Add rows of amounts, shape (n, channels), to the counts of keys with all their bits."""
        done = 0
        while done < keys.size:
            done, self.used = _add(*self._buffers(), keys, amounts, done)
            if done < keys.size:
                self._coarsen()

    def sorted_items(self) -> tuple[NDArray[np.uint32], Counts]:
        """Return the keys, ascending, and their counts, shapes (n,) and (n, channels), copied."""
        held = np.flatnonzero(self.slots != _FREE)
        order = held[np.argsort(self.slots[held])]
        return self.slots[order], self.counts[order]

    def _coarsen(self) -> None:
        """Drop the last bit of all keys, so that neighbours come together."""
        keys, counts = self.sorted_items()
        self.dropped_bits += 1
        self.used = 0
        self.slots.fill(_FREE)
        self.counts.fill(0)
        # `_add` shifts keys by all bits that were dropped.
        whole = keys.astype(np.uint64) << np.uint64(self.dropped_bits - 1)
        _, self.used = _add(*self._buffers(), whole, counts, 0)

    def _buffers(self) -> tuple[NDArray[np.uint32], Counts, int, int, int, int]:
        return self.slots, self.counts, self.used, self.capacity, self.multiplier, self.dropped_bits


def summed_by_key(keys: NDArray[Any], counts: Counts) -> tuple[NDArray[Any], Counts]:
    """Return sorted keys, each once, and the sums of the rows of counts that belong to them."""
    order = np.argsort(keys, kind="stable")
    united, starts = np.unique(keys[order], return_index=True)
    return united, np.add.reduceat(counts[order], starts, axis=0) if len(starts) else counts


@compiled
def _slot_of(slots: NDArray[Any], key: Any, multiplier: int) -> Any:
    """Return the slot that holds a key, or the free one where it belongs."""
    slot = (((key * multiplier) & 0xFFFF_FFFF) * slots.size) >> 32
    while slots[slot] != key and slots[slot] != _FREE:
        slot = (slot + 1) & (slots.size - 1)
    return slot


@compiled
def _tally_directly(
    slots: NDArray[Any], counts: Counts, bits: NDArray[Any], channels: NDArray[Any], sign: int
) -> None:
    """Count scores in a table with a slot for each key, which never fills up: no look-up, a fraction of the time."""
    for index in range(bits.size):
        key = key_of_bits(np.int64(bits[index]), sign)
        if key >= 0:
            slots[key] = key
            counts[key, channels[index]] += 1


@compiled
def _tally(
    slots: NDArray[Any],
    counts: Counts,
    used: int,
    capacity: int,
    multiplier: int,
    dropped_bits: int,
    bits: NDArray[Any],
    channels: NDArray[Any],
    sign: int,
    start: int,
) -> tuple[int, int]:
    """Count scores from `start` on; return how far it went before a key found no place, and how many are used."""
    for index in range(start, bits.size):
        key = key_of_bits(np.int64(bits[index]), sign)
        if key < 0:
            continue
        key >>= dropped_bits
        slot = _slot_of(slots, key, multiplier)
        if slots[slot] != key:
            if used == capacity:
                return index, used
            slots[slot] = key
            used += 1
        counts[slot, channels[index]] += 1
    return bits.size, used


@compiled
def _add(
    slots: NDArray[Any],
    counts: Counts,
    used: int,
    capacity: int,
    multiplier: int,
    dropped_bits: int,
    keys: NDArray[Any],
    amounts: Counts,
    start: int,
) -> tuple[int, int]:
    """Add amounts from `start` on; returns as `_tally` does."""
    for index in range(start, keys.size):
        key = np.int64(keys[index]) >> dropped_bits
        slot = _slot_of(slots, key, multiplier)
        if slots[slot] != key:
            if used == capacity:
                return index, used
            slots[slot] = key
            used += 1
        for channel in range(counts.shape[1]):
            counts[slot, channel] += amounts[index, channel]
    return keys.size, used
