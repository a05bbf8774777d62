"""Turns a ``MethodResult`` to JSON and back, so that a finished job need not run again."""

import numpy as np

from amad.evaluation.method_result import Finding, MethodResult, Rate
from amad.evaluation.units import Event


def result_to_json(result: MethodResult) -> dict:
    """The result as plain values, without the curves of precision.

    The channels blamed are kept for the known events alone.
    """
    return {
        "lookahead_seconds": result.lookahead_seconds,
        "vehicle": result.vehicle,
        "per_unit": result.per_unit,
        "point_adjusted": result.point_adjusted,
        "pa_k": [curve.tolist() for curve in result.pa_k],
        "truth": [_finding_to_json(f) | {"blame": []} for f in result.truth],
        "known": [_finding_to_json(f) for f in result.known],
        "calibration": [result.calibration.incidents, result.calibration.days],
        "normal": [result.normal.incidents, result.normal.days],
        "unscored_rows": result.unscored_rows,
        "rows": result.rows,
    }


def result_from_json(content: dict) -> MethodResult:
    """The inverse of ``result_to_json``."""
    plain = ("lookahead_seconds", "vehicle", "per_unit", "point_adjusted", "unscored_rows", "rows")
    return MethodResult(
        **{key: content[key] for key in plain},
        pa_k=[np.array(curve) for curve in content["pa_k"]],
        truth=[_finding_from_json(f) for f in content["truth"]],
        known=[_finding_from_json(f) for f in content["known"]],
        calibration=Rate(incidents=content["calibration"][0], days=content["calibration"][1]),
        normal=Rate(incidents=content["normal"][0], days=content["normal"][1]),
    )


def joined(parts: list[dict]) -> MethodResult:
    """The results of different units with one seed, as JSON, joined to one."""
    first, *others = (result_from_json(part) for part in parts)
    for other in others:
        first.join(other)
    return first


def _finding_to_json(finding: Finding) -> dict:
    event = finding.event
    return {
        "unit": finding.unit,
        "event": [event.first, event.last, list(event.channels), event.type, event.strength],
        "start_us": finding.start_us,
        "found": finding.found,
        "delay_seconds": finding.delay_seconds if finding.found else None,
        "severity": finding.severity,
        "guessed": finding.guessed,
        "chance": finding.chance,
        "days": finding.days,
        "blame": [float(b) if np.isfinite(b) else None for b in finding.blame_C],
    }


def _finding_from_json(content: dict) -> Finding:
    first, last, channels, kind, strength = content["event"]
    delay = content["delay_seconds"]
    return Finding(
        unit=content["unit"],
        event=Event(first=first, last=last, channels=tuple(channels), type=kind, strength=strength),
        start_us=content["start_us"],
        found=content["found"],
        delay_seconds=np.nan if delay is None else delay,
        severity=content["severity"],
        guessed=content["guessed"],
        chance=content["chance"],
        days=content["days"],
        blame_C=np.array([np.nan if b is None else b for b in content["blame"]]),
    )
