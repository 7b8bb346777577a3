"""Numbers and names as people like to read them."""


def one_line(text: str) -> str:
    r"""Return text without line breaks, and with control characters escaped so that a terminal shows them.

    Examples
    --------
    >>> one_line("a\n b\x1b[31m")
    'a b\\x1b[31m'
    """
    joined = " ".join(line.strip() for line in text.strip().splitlines())
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in joined
    )


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> count(1, "pick"), count(12000, "pick"), count(2, "batch", "batches")
    ('1 pick', '12,000 picks', '2 batches')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape with its axes in array order.

    Examples
    --------
    >>> shape_text((3, 480, 640))
    '3×480×640'
    """
    return "×".join(str(n) for n in shape)


def bytes_text(size: float) -> str:
    """Return an amount of memory in binary units.

    Examples
    --------
    >>> bytes_text(0), bytes_text(1536), bytes_text(2 * 2**30), bytes_text(5 * 2**50)
    ('0 B', '1.5 KiB', '2 GiB', '5120 TiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}" if size < 100 else f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.3g} TiB" if size < 100 else f"{size:.0f} TiB"


def duration_text(seconds: float) -> str:
    """Return an estimated duration in the unit that suits it.

    Examples
    --------
    >>> duration_text(0.2), duration_text(90), duration_text(600), duration_text(36000), duration_text(864000)
    ('less than 1 s', 'about 90 s', 'about 10 min', 'about 10.0 h', 'about 10.0 days')
    """
    if seconds < 1:
        return "less than 1 s"
    if seconds < 120:
        return f"about {seconds:.0f} s"
    if seconds < 7200:
        return f"about {seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"about {seconds / 3600:.1f} h"
    return f"about {seconds / 86400:.1f} days"
