"""What every benchmark prints: one line a measurement, in the same columns."""

from collections.abc import Sequence


def heading(title: str) -> None:
    print(f"\n{title}\n  {'':<42} {'calls':>6} {'p50 ms':>9} {'p95 ms':>9} {'per s':>9}", flush=True)


def line(name: str, calls_s: Sequence[float], elapsed_s: float, note: str = "") -> None:
    """``calls_s``: how long each call took; ``elapsed_s``: all of them together, which may overlap."""
    ordered = sorted(calls_s)
    p50, p95 = (percentile(ordered, share) * 1e3 for share in (0.5, 0.95))
    rate = len(ordered) / elapsed_s
    print(f"  {name:<42} {len(ordered):>6} {p50:>9.2f} {p95:>9.2f} {rate:>9.1f}  {note}".rstrip(), flush=True)


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
