"""A tally as JSON and back, so that a finished job is answered from its file."""

import numpy as np

from amad.evaluation.method_result import Finding, Rate, Tally
from amad.evaluation.units import Event


def tally_to_json(tally: Tally) -> dict:
    """Plain values. Channels blamed are kept for events whose culprits are known; the curves of
    precision are left out."""
    return {
        "lookahead_seconds": tally.lookahead_seconds,
        "vehicle": tally.vehicle,
        "per_unit": tally.per_unit,
        "point_adjusted": tally.point_adjusted,
        "pa_k": [curve.tolist() for curve in tally.pa_k],
        "truth": [_finding_to_json(f) | {"blame": []} for f in tally.truth],
        "known": [_finding_to_json(f) for f in tally.known],
        "calibration": [tally.calibration.incidents, tally.calibration.days],
        "normal": [tally.normal.incidents, tally.normal.days],
        "unscored_rows": tally.unscored_rows,
        "rows": tally.rows,
    }


def tally_from_json(content: dict) -> Tally:
    """The inverse of ``tally_to_json``."""
    plain = ("lookahead_seconds", "vehicle", "per_unit", "point_adjusted", "unscored_rows", "rows")
    return Tally(
        **{key: content[key] for key in plain},
        pa_k=[np.array(curve) for curve in content["pa_k"]],
        truth=[_finding_from_json(f) for f in content["truth"]],
        known=[_finding_from_json(f) for f in content["known"]],
        calibration=Rate(incidents=content["calibration"][0], days=content["calibration"][1]),
        normal=Rate(incidents=content["normal"][0], days=content["normal"][1]),
    )


def joined(parts: list[dict]) -> Tally:
    """Tallies of different units under one seed (JSON) as one."""
    first, *others = (tally_from_json(part) for part in parts)
    for other in others:
        for name in ("vehicle", "per_unit", "point_adjusted"):
            getattr(first, name).update(getattr(other, name))
        first.pa_k += other.pa_k
        first.rows += other.rows
        first.unscored_rows += other.unscored_rows
        first.join_findings(other)
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
        chance=content["chance"],
        days=content["days"],
        blame_C=np.array([np.nan if b is None else b for b in content["blame"]]),
    )
