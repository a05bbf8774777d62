"""When an incident began and when it ended, from residuals that no box smooths.

A score is a mean over boxes of rows. So the alarms of a short fault last as long as the boxes: they
begin before the fault where boxes look ahead, and go on after it. The start and the end of an
incident are the change points of

    x_t   = sum over the channels to blame of share x largest ln(1 + z2_t) of any member
    start = argmin over k of the sum of (x_t - m) over t < k
    end   = argmax over k of the same sum
    m     = the mean of ``ORDINARY`` and of the 75 % quantile of x_t within the alarms

The start lies between ``SEARCHED`` rows before the first alarm and the peak, the end between the
peak and the last alarm. These are the cumulative sums of E. S. Page, "Continuous inspection
schemes", Biometrika 1954; for the place of a change see D. V. Hinkley, "Inference about the
change-point from cumulative sum tests", Biometrika 1971.

Shape legend: R rows.
"""

import numpy as np

ORDINARY = 0.534  # the mean of ln(1 + z2) where z is standard normal
LASTING = 0.75  # quantile of x within the alarms
SEARCHED = 20  # periods before the first alarm


def began_and_ended(x_R: np.ndarray, first: int, peak: int, last: int) -> tuple[int, int]:
    """The first row of what is out of the ordinary, and the one after its last.

    x_R: see above, with rows before the first alarm, in which the start is looked for as well.
    first, last: rows of the first alarm, and after the last one. peak: between them.
    """
    middle = (ORDINARY + np.quantile(x_R[first:last], LASTING)) / 2
    sum_R = np.concatenate([[0.0], np.cumsum(x_R[:last] - middle)])
    start = int(sum_R[: peak + 1].argmin())
    return start, peak + 1 + int(sum_R[peak + 1 :].argmax())
