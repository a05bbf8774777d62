"""How a detector is fitted: the figures of the fleet, of its classes and of each vehicle.

What is pooled is learnt from a bounded sample, in this process. A vehicle's own figures need its
own rows and these alone, so they are learnt wherever ``fit_together`` lets vehicles be learnt.
Detectors that share members, such as the forms of one (``amad.detect.forms``), are fitted at once.

Shape legend: T rows of a vehicle, C channels.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from amad.detect import constant_channels as constant
from amad.detect.combine import EXCESS_QUANTILE, excess_shares, range_shares
from amad.detect.figure_file import PutAway
from amad.detect.fitting import Calibrated, HeldOut, OfVehicle, held_out
from amad.detect.learnt_figures import (
    ALLOWANCE,
    FLEET,
    SHORT_ROWS,
    LearntFigures,
    Prior,
    in_stretches,
    own_share,
    pooled,
    without_history,
)
from amad.detect.member_scorer import MemberScorer
from amad.detect.members.member import fit_shared
from amad.detect.pauses import only_paused
from amad.detect.predictability import Explained
from amad.detect.priors import Priors
from amad.detect.residual_cache import ResidualCache
from amad.windows.series import Part, Series, joined, read, read_with_lead, without_lead
from amad.windows.vehicle_file import pieces


class _Still(NamedTuple):
    """The channels that never moved in the train rows, and those that hardly ever did."""

    never_move: dict[int, tuple[float, ...]]
    hardly_move: dict[int, tuple[float, int]]


class DetectorLearner:
    """Fits a detector, and others that share its members and take their figures from it."""

    def __init__(self, detector: MemberScorer, *parts: MemberScorer) -> None:
        """parts: each has some of the members of ``detector``, and no others."""
        self.detector = detector
        self._forms = [detector, *parts]
        self._moves: Counter[str] = Counter()
        self._any_own = False  # has any vehicle with calibration rows figures of its own?

    @property
    def forms(self) -> int:
        """All are scored."""
        return len(self._forms)

    def learn(self, train: Sequence[Part], calibration: Sequence[Part]) -> None:
        """Fit the figures of the fleet, of each class if there are several, and all priors."""
        detector = self.detector
        known = {part.vehicle for part in calibration}
        self._any_own = any(p.rows >= SHORT_ROWS and p.vehicle in known for p in train)
        classes = sorted({part.vehicle_class for part in train})
        names = [FLEET, *(f"class/{name}" for name in classes if len(classes) > 1)]
        fit_shared(detector.members, pooled(train))
        detector.figures = {}
        for owner in names:
            self._fit_pooled(owner, without_history(train, owner, detector.scaler))
        self._priors = Priors(train, detector.members, self._fit_pooled, detector.scaler)
        for part in train:
            if part.rows >= SHORT_ROWS:
                self._priors.prepare(part)
        for owner, group in self._held_out(calibration):
            self._measure_excess_thresholds(owner, group)
        for form in self._forms[1:]:
            _share_members(form, detector)
            form.figures = {owner: _figures_for(form, detector.figures[owner]) for owner in names}
        self._put_away = PutAway(detector.members)

    def learn_vehicle(self, train: Part | None, calibration: Part | None) -> OfVehicle:
        """Fit the vehicle's own figures if it has enough rows, and score its calibration rows."""
        own = train is not None and train.rows >= SHORT_ROWS
        owner = f"vehicle/{train.vehicle}" if train is not None and own else ""
        caches = [member.cache for member in self.detector.members]
        try:
            if train is not None and owner:
                self._learn_figures(owner, train, calibration)
            moves: dict[str, int] = {}
            scores: list[np.ndarray] = []
            if calibration is not None:
                moves = self._first_moves(calibration)
                if owner or not self._any_own:
                    scores = [_scores(form, calibration) for form in self._forms]
                if owner:
                    self._note_last_values(owner, calibration)
            return OfVehicle(
                figures=self.detector.figures.get(owner),
                coefficients={m.name: m.coefficients.get(owner, {}) for m in self.detector.members},
                moves=moves,
                scores=scores,
            )
        finally:
            for form in self._forms:
                form.figures.pop(owner, None)
            for member, cache in zip(self.detector.members, caches, strict=True):
                member.coefficients.pop(owner, None)
                member.cache = cache

    def keep(self, vehicle: str, found: OfVehicle) -> None:
        """Take the figures of a vehicle; those of all but the first few wait in a file."""
        self._moves.update(found.moves)
        if found.figures is None:
            return
        owner = f"vehicle/{vehicle}"
        for member in self.detector.members:
            member.coefficients[owner] = found.coefficients[member.name]
        kept = self.detector.figures[owner] = self._put_away(owner, found.figures)
        for form in self._forms[1:]:
            own = _figures_for(form, found.figures)
            form.figures[owner] = replace(own, calibration=kept.calibration)

    def learn_threshold(self, form: int, known: Calibrated) -> None:
        """Choose the threshold, and the allowance of all pooled figures.

        If any vehicle has figures of its own, the threshold is chosen on such vehicles only. Scores
        know the rows before the calibration part, as those of a day know the days before.
        """
        self._priors.forget(self.detector.figures)
        detector = self._forms[form]
        # First moves of each kind alone; a single one tells no rate, and counts as none.
        moves = {
            kind: self._moves[kind] / known.all_days if self._moves[kind] > 1 else 0.0
            for kind in constant.REPORTED_ROWS
        }
        detector.choose_threshold(known.scored, known.days, moves)
        pooled_owners = [o for o in detector.figures if not o.startswith("vehicle/")]
        for owner in pooled_owners if self._any_own else ():
            sample = without_history(known.calibration, owner, detector.scaler, read_with_lead)
            scored = [
                HeldOut(
                    vehicle=series.vehicle,
                    timestamp_T=without_lead(series).timestamp_T.copy(),
                    score_T=held_out(series, detector.scores_with(owner, series)),
                )
                for series in sample
            ]
            days = sum((known.days_of(rows) for rows in scored), 0.0)
            needed = detector.operating_point_for(scored, days, moves)
            if needed is not None:
                allowance = max(needed.threshold - detector.threshold, 0.0)
                detector.figures[owner] = replace(detector.figures[owner], allowance=allowance)

    def _learn_figures(self, owner: str, train: Part, calibration: Part | None) -> None:
        """Fit the figures of a vehicle; all forms have them then."""
        detector, series = self.detector, in_stretches(train)
        cache = ResidualCache()  # the calibration rows are measured, and then scored by each form
        prior, still = self._priors.of(series), self._still(owner, [series], train)
        figures = detector.figures[owner] = self._fit_figures(owner, [series], still, prior)
        for member in detector.members:
            member.cache = member.cache or cache
        if calibration is not None:
            self._measure_excess_thresholds(owner, [calibration])
        if prior is not None:  # the thresholds of a short history are moved like its figures
            share, threshold = own_share(series.rows, prior.counts_as), figures.excess_threshold
            for name in threshold.keys() & prior.figures.excess_threshold.keys():
                threshold[name] *= share
                threshold[name] += (1 - share) * prior.figures.excess_threshold[name]
        for form in self._forms[1:]:
            form.figures[owner] = _figures_for(form, figures)

    def _fit_pooled(self, owner: str, group: list[Series]) -> LearntFigures:
        figures = self._fit_figures(owner, group, self._still(owner, group))
        self.detector.figures[owner] = figures
        return figures

    def _still(self, owner: str, group: list[Series], part: Part | None = None) -> _Still:
        """Of all rows of a group of series; or of a part, of which a series is some rows."""
        noise_C = self.detector.units_for(group[0], owner).noise_C
        channel_K = np.arange(len(noise_C))
        if part is not None and part.rows > group[0].rows:
            channel_K = constant.perhaps_still(group[0], noise_C, part.rows)
            group = [_columns(part, channel_K)]
        never = constant.constant_channels(group, noise_C[channel_K])
        hardly = constant.nearly_constant_channels(group, noise_C[channel_K])
        return _Still(
            {int(channel_K[k]): known for k, known in never.items()},
            {int(channel_K[k]): usual for k, usual in hardly.items()},
        )

    def _fit_figures(
        self, owner: str, group: list[Series], still: _Still, prior: Prior | None = None
    ) -> LearntFigures:
        """Fit the figures of an owner. still: of all its rows; group: perhaps of some."""
        detector, ensemble = self.detector, self.detector.ensemble
        never_move, hardly_move = still
        group = [constant.hold(series, never_move) for series in group]
        present = [detector.present(s) for s in group]
        learnt = ensemble.calibrate(owner, group, present, never_move, prior)
        calibration, evidence, by_member = learnt
        explained = Explained(by_member=by_member, pooled=not owner.startswith("vehicle/"))
        members = ensemble.serving(calibration)
        excess_threshold = {
            name: float(np.quantile(evidence[name], EXCESS_QUANTILE))
            if prior is None or len(evidence[name])
            else prior.figures.excess_threshold.get(name, 0.0)
            for name in (*excess_shares(members), *range_shares(members))
        }
        allowance = 0.0
        if prior is not None:
            share = own_share(group[0].rows, prior.counts_as)
            allowance = ALLOWANCE * (1 - share)
            explained = replace(explained, prior=prior.figures.explained, share=share)
        return LearntFigures(
            calibration=calibration,
            predictability=explained.best(detector.members),
            excess_threshold=excess_threshold,
            allowance=allowance,
            explained=explained,
            constant=never_move,
            paused=only_paused(never_move, group[0], prior.runs if prior else {}),
            nearly_constant=hardly_move,
        )

    def _measure_excess_thresholds(self, owner: str, calibration: Sequence[Part]) -> None:
        """Measure the excess thresholds again if there are ``SHORT_ROWS`` calibration rows.

        Train evidence is cross-fitted, but each fold lies between rows that it was fitted on.
        Calibration rows come after all train rows, as the rows that will be scored do.
        """
        if sum(part.rows for part in calibration) < SHORT_ROWS:
            return
        detector, figures = self.detector, self.detector.figures[owner]
        ensemble = detector.ensemble
        some = replace(ensemble, members=ensemble.serving(figures.excess_threshold))
        found: dict[str, list[np.ndarray]] = {}
        for part in calibration:  # without the contributions, which are C times as large
            series = detector.settled_for(owner, read(part))
            own = some.evidence(figures, owner, series, detector.present(series))
            for name, (evidence_T, _) in own.items():
                found.setdefault(name, []).append(evidence_T)
        for name, known in found.items():
            limit = np.quantile(np.concatenate(known), EXCESS_QUANTILE)
            figures.excess_threshold[name] = float(limit)

    def _held_out(self, calibration: Sequence[Part]) -> Iterator[tuple[str, Sequence[Part]]]:
        """Each pooled owner and prior with its calibration rows."""
        for owner in sorted(self.detector.figures):
            if owner in self._priors.known:
                vehicles = self._priors.known[owner].runs
                own: Sequence[Part] = [part for part in calibration if part.vehicle in vehicles]
            else:
                own = without_history(calibration, owner, self.detector.scaler)
            if own:
                yield owner, own

    def _first_moves(self, calibration: Part) -> dict[str, int]:
        """Incidents of calibration rows that first moves of each kind alone are."""
        detector = self.detector
        if not detector.figures[detector.owner_of(calibration)].constant:
            return {}
        series, incidents = read(calibration), {}
        for kind in constant.REPORTED_ROWS:
            moved_T = constant.moved(detector.first_moves(series, [kind]), series)
            incidents[kind] = len(detector.runs(moved_T, series.timestamp_T))
        return incidents

    def _note_last_values(self, owner: str, calibration: Part) -> None:
        """If a constant channel moved for good in the calibration rows, note its new value."""
        figures = self.detector.figures[owner]
        if figures.constant:
            series = read(calibration)
            units = self.detector.units_for(series, owner)
            known = constant.last_known(figures.constant, series, units.noise_C)
            self.detector.figures[owner] = replace(figures, constant=known)


def _columns(part: Part, channel_K: np.ndarray) -> Series:
    """All rows of a part with these channels alone, read piece by piece."""
    found = []
    for first, last in pieces(part.rows):
        piece = part.rows_between(first, last)
        value_TK, valid_TK = piece.value_TC[:, channel_K], piece.valid_TC[:, channel_K]
        found.append(replace(piece, value_TC=value_TK, valid_TC=valid_TK))
    return joined(found)


def _scores(detector: MemberScorer, calibration: Part) -> np.ndarray:
    """The scores of calibration rows (T,), before any threshold."""
    owner = detector.owner_of(calibration)
    series = detector.settled_for(owner, read_with_lead(calibration))
    return held_out(series, detector.scores_with(owner, detector.scaled_for(series, owner)))


def _share_members(part: MemberScorer, whole: MemberScorer) -> None:
    """Let a detector have those of its members that another one has."""
    names = {member.name for member in part.members}
    part.members = [member for member in whole.members if member.name in names]


def _figures_for(part: MemberScorer, figures: LearntFigures) -> LearntFigures:
    """The figures of an owner for a detector that has some of the members they were learnt with."""
    serving = part.ensemble.serving(figures.calibration)
    counted = (*excess_shares(serving), *range_shares(serving))
    assert figures.explained is not None, "the figures were learnt, not loaded"
    return replace(
        figures,
        predictability=figures.explained.best(part.members),
        excess_threshold={name: figures.excess_threshold[name] for name in counted},
    )
