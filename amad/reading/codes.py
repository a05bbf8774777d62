"""The words of a text column, such as auto and eco, become the numbers of the fleet file."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from amad.reading.numbers import is_text, tidied

UNKNOWN = "a state that is new belongs into the channel's codes"


def with_codes(column: pa.Array, codes: Mapping[str, int]) -> pa.Array:
    """The column with the number of each word in its place, as text; other cells stay.

    Words are compared as those for "no value" are: without the spaces around them, in any case.
    """
    if not codes or not is_text(column.type):
        return column
    number_of = {str(tidied(pa.array([word]))[0]): str(code) for word, code in codes.items()}
    at = pc.index_in(tidied(column), pa.array([*number_of], pa.string()))
    told = pa.array([*number_of.values()], pa.string()).take(at)
    return pc.coalesce(told, pc.cast(column, pa.string()))
