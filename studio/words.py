"""How numbers, sizes and times are written, everywhere the same. Missing or not finite is a dash."""

import math
from datetime import datetime, tzinfo
from numbers import Real

MISSING = "—"
GB = 1_000_000_000
MB = 1_000_000


def known(number: float | None) -> bool:
    return isinstance(number, Real) and math.isfinite(number)


def loss(number: float | None) -> str:
    """1.146"""
    return f"{number:.3f}" if known(number) else MISSING


def perplexity(held_out_loss: float | None) -> str:
    """3.28, from a loss in nats a token."""
    return f"{math.exp(held_out_loss):,.2f}" if known(held_out_loss) and held_out_loss < 50 else MISSING


def rate(number: float | None) -> str:
    """A learning rate: 2e-4, 1.46e-4."""
    if not known(number):
        return MISSING
    if number == 0:
        return "0"
    digits, exponent = f"{number:.2e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"


def whole(number: float | None) -> str:
    """1,125"""
    return f"{number:,.0f}" if known(number) else MISSING


def percent(share: float | None, decimals: int = 0) -> str:
    """37%, <1%; with one decimal for cut rate and trainable share."""
    if not known(share):
        return MISSING
    smallest = 10**-decimals
    return f"<{smallest:g}%" if 0 < share * 100 <= smallest / 2 else f"{share * 100:.{decimals}f}%"


def parameters(number: float | None) -> str:
    """11.3M, 1.24B"""
    if not known(number):
        return MISSING
    if number >= 1e9:
        return f"{number / 1e9:.2f}".rstrip("0").rstrip(".") + "B"
    return f"{number / 1e6:.1f}".rstrip("0").rstrip(".") + "M" if number >= 1e5 else f"{number:,.0f}"


def size(size_bytes: float | None) -> str:
    """7.4 GB, 152 MB, under 1 MB"""
    if not known(size_bytes):
        return MISSING
    if size_bytes >= GB:
        return f"{size_bytes / GB:.1f} GB"
    return f"{size_bytes / MB:.0f} MB" if size_bytes >= MB else "under 1 MB"


def used_of(used_bytes: float, total_bytes: float) -> str:
    """**7.4** / 14.6 GB, as Markdown; whole numbers from 100 GB on."""
    decimals = 0 if total_bytes >= 100 * GB else 1
    return f"**{used_bytes / GB:,.{decimals}f}** / {total_bytes / GB:,.{decimals}f} GB"


def duration(seconds: float | None) -> str:
    """40 s, 13 min, 1 h 40 min, 2 d 3 h"""
    if not known(seconds):
        return MISSING
    minutes = round(seconds / 60)
    if seconds < 59.5:
        return f"{max(0, seconds):.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def about(seconds: float | None) -> str:
    """about 23 min left"""
    return f"about {duration(seconds)} left" if known(seconds) else "time left not known yet"


def clock(moment: float, zone: tzinfo | None = None, seconds: bool = False) -> str:
    """14:02, or 14:02:10 in a log."""
    return datetime.fromtimestamp(moment, zone).strftime("%H:%M:%S" if seconds else "%H:%M")


def when(moment: float, now: float, zone: tzinfo | None = None) -> str:
    """today 14:02, yesterday, Mon, 3 Nov, 3 Nov 2025"""
    then, today = datetime.fromtimestamp(moment, zone), datetime.fromtimestamp(now, zone)
    days = (today.date() - then.date()).days
    if days == 0:
        return f"today {then:%H:%M}"
    if days == 1:
        return "yesterday"
    if 1 < days < 7:
        return f"{then:%a}"
    return f"{then.day} {then:%b}" + ("" if then.year == today.year else f" {then.year}")


def count(number: int, one: str, many: str | None = None) -> str:
    """1 run, 3 runs"""
    return f"{number:,} {noun(number, one, many)}"


def noun(number: int | None, one: str, many: str | None = None) -> str:
    """run where there is one, else runs"""
    return one if number == 1 else many or one + "s"
