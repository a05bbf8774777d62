"""Files in which a column has another scale than in the others, such as mV and not V.

Shape legend: N values of a channel, F files.
"""

import numpy as np

from amad.config.wording import some

FACTORS = (1e3, 1e6)  # between units that differ by their prefix
NEAR = 1.4  # a level is near another one up to this factor
USUAL = 3.0  # the levels of the other files lie within this factor of their median
FEWEST = 4  # files of the usual level
SCALED = (
    "in {} the values of {!r} are about {} of those in the other files: if they are in another "
    "unit, convert them; the range is that of the others"
)


def of_other_scale(value_N: np.ndarray, file_N: np.ndarray) -> dict[int, float]:
    """Number of a file -> the factor by which its values are larger than those of the others.

    Empty unless the level of every file is either near that of most files or away from it by such a
    factor: where files lie between, the quantity itself has so many levels.
    """
    level_of = {}
    for number in np.unique(file_N):
        size_N = np.abs(value_N[(file_N == number) & ~np.isnan(value_N)])
        if np.any(size_N > 0):
            level_of[int(number)] = float(np.median(size_N[size_N > 0]))
    level_F = np.array([*level_of.values()])
    if len(level_F) <= FEWEST:
        return {}
    ratio_F = level_F / np.median(level_F)
    usual_F = (ratio_F < USUAL) & (ratio_F > 1 / USUAL)
    ratio_F /= np.median(ratio_F[usual_F])
    found: dict[int, float] = {}
    odd_F = np.zeros(len(level_F), bool)
    for factor in (scale for f in FACTORS for scale in (f, 1 / f)):
        near_F = (ratio_F < factor * NEAR) & (ratio_F > factor / NEAR)
        odd_F |= near_F
        found |= {number: factor for number, near in zip(level_of, near_F, strict=True) if near}
    most = usual_F.sum() >= max(FEWEST, 2 * odd_F.sum())
    return found if most and bool(np.all(usual_F | odd_F)) else {}


def told(header: str, found: dict[int, float], paths: list[str]) -> str:
    """What is told of these files of a column."""
    factor = next(iter(found.values()))
    size = f"{factor:,.0f} times the size" if factor > 1 else f"a {1 / factor:,.0f}th"
    names = [paths[number] for number, f in found.items() if f == factor]
    return SCALED.format(some(names), header.strip(), size)
