"""A simulator of vehicle telemetry, deterministic by seed: demonstration fleet and load generator.

``catalogue`` names what can be measured; ``cycle`` draws a day of driving; ``dynamics``,
``thermal`` and ``electric`` make the channels of it; ``sensing`` measures and loses rows;
``breakdowns`` puts the ``faults`` in; ``daily`` joins them to a day of a ``vehicle``; ``fleet``
writes the files.
"""
