"""python -m bench.vote --fleet demo asd smd --form offline online --out bench/results/vote.json

What does the rule for the network's vote decide, and is it right?

For each fleet and form a network is trained with the settings of params.yaml, and the rule decides
without labels whether it votes. Then the detector is judged with its vote and without it on the
test part. The difference by labels (or, of a fleet without labels, on faults injected into test
rows) says what the vote is really worth. ``--out`` is written after each fleet and form.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from amad.config import Params, Settings, load_params
from amad.config.console import say
from amad.detect.build_detector import build_detector
from amad.detect.residual_cache import ResidualCache
from amad.engines.shared.environment import quiet
from amad.evaluation.evaluation_metrics import PRIMARY
from amad.evaluation.harness import per_unit_metrics
from amad.evaluation.summary import bootstrap, differences, rounded
from amad.evaluation.units import fitting_parts
from amad.evaluation.vote import decide_vote
from amad.model import read_bundle
from amad.telemetry.files import write_json
from amad.telemetry.lake import Lake
from bench.options import parser_of
from bench.present import origin
from bench.quality.fleets import Prepared, find_fleet, prepare_fleet
from bench.quality.jobs import network_job
from bench.quality.methods import FORMS, settings_of

METHOD = "amad"  # as shipped, but for the form


def judged(prepared: Prepared, form: str, params: Params, home: Path) -> dict:
    """The rule's decision in one form with one seed, and the network's share by the test part."""
    fleet, store = prepared.fleet, prepared.store
    own = settings_of(METHOD, form, params.seed, params)
    job = network_job(fleet, store, own, home)
    if not job.done():
        job.run()
    bundle = read_bundle(job.out / "bundle")
    started = time.process_time()
    _, vote = decide_vote(store, bundle, own)
    seconds = time.process_time() - started
    parts, cache, per_unit = fitting_parts(store), ResidualCache(), {}
    events = Lake(prepared.folder / "lake", fleet).events()
    for weight in (0.0, 1.0):
        detect = own.detect.model_copy(update={"amad_weight": weight})
        detector = build_detector(bundle, detect)
        for member in detector.members:
            member.cache = cache  # the second detector finds the residuals of the first
        detector.fit(*parts)
        per_unit[weight] = per_unit_metrics(store, detector, fleet, events)
    values = [figures[PRIMARY] for figures in per_unit[0.0].values()]
    return {
        "vote": vote.model_dump(mode="json"),
        "vote_cpu_seconds": seconds,
        "train_seconds": bundle.meta["train_seconds"],
        "labels": fleet.labels.kind,
        "vehicles": len(store.vehicles),
        "without": bootstrap([values], own),
        "share": differences(per_unit[1.0], per_unit[0.0], own)[PRIMARY],
    }


def main(arguments: Sequence[str] | None = None) -> dict:
    """Measure, write ``--out``, and return the content."""
    parser = parser_of(__doc__)
    parser.add_argument("--fleet", nargs="+", required=True, metavar="FILE")
    parser.add_argument("--form", dest="forms", nargs="+", choices=list(FORMS), default=["offline"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path("runs/quality"), help="finished work")
    parser.add_argument("--params", type=Path, help="default: params.yaml")
    options = parser.parse_args(arguments)
    quiet()
    settings, home = Settings(), options.home.absolute()
    params = load_params(options.params or settings.params_file, options.fleet[0])
    fleets: dict[str, dict[str, dict]] = {}
    for form in options.forms:
        for name in options.fleet:
            _, file = find_fleet(name, settings)
            prepared = prepare_fleet(file, params, home / "fleets", settings.data_dir, ["test"])
            found = judged(prepared, form, params, home)
            fleets.setdefault(prepared.fleet.name, {})[form] = found
            say(f"{prepared.fleet.name}, {form}: share by the test part {found['share']}")
            content = rounded({**origin(), "seed": params.seed, "fleets": fleets})
            write_json(options.out, content)
    return content


if __name__ == "__main__":
    main()
