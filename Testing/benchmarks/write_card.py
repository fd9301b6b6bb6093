"""Renew the card of a shipped prior: `python Testing/benchmarks/write_card.py liver`.

The card is what training has put there, overwritten by `cards/ORGAN.json` (data, licence, bias, side), and the
held-out figures of `results/heldout-ORGAN.json`, which `heldout.py` writes. It goes into the prior's metadata
and beside the prior as `ORGAN.md`. Weights and digest stay as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine"), str(ROOT / "Testing")]

from benchmarks.organs import HELD_OUT_TITLES, ORGANS
from dals.io.atomic import atomic_path
from dals.model.prior import ShapePrior, load_prior, save_prior

PRIORS = ROOT / "Resources" / "Priors"
RESULTS = Path(__file__).resolve().parent / "results"
CARDS = Path(__file__).resolve().parent / "cards"
TITLES = {
    "points": "2,500 points, pose known",
    "planes": "3 orthogonal planes through the centre, pose known",
    "clinician": "3 clicked curves off the centre, pose unknown",
}
FIGURES = {
    "chamfer": "{:.2e}",
    "f_score_1": "{:.1f}",
    "f_score_2": "{:.1f}",
    "hausdorff": "{:.3f}",
    "mean_distance_mm": "{:.2f}",
    "self_intersections": "{:.2f}",
    "quality": "{:.3f}",
    "quality_remeshed": "{:.3f}",
}

SPREAD = ("chamfer", "mean_distance_mm")
"""Figures whose median and worst stand beside the mean."""


def main() -> int:
    """Summarise and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("organ", nargs="?", choices=ORGANS, default="liver")
    organ: str = parser.parse_args().organ
    rows = json.loads((RESULTS / f"heldout-{organ}.json").read_text(encoding="utf-8"))
    digests = {row["prior_sha256"] for row in rows}
    path = PRIORS / f"{organ}.safetensors"
    prior = load_prior(path)
    if digests != {prior.digest}:
        print("The figures were measured with other weights; run heldout.py first.", file=sys.stderr)
        return 2
    held_out = {task: _summary([row for row in rows if row["task"] == task]) for task in TITLES}
    cases = len({row["case"] for row in rows})
    card = {
        **prior.card,
        **json.loads((CARDS / f"{organ}.json").read_text(encoding="utf-8")),
        "held_out": {"cases": f"{cases} {HELD_OUT_TITLES[organ]}, never trained on or tuned to", **held_out},
    }
    save_prior(path, replace(prior, card=card))
    with atomic_path(path.with_suffix(".md")) as beside:
        beside.write_text(_text(replace(prior, card=card), held_out, cases), encoding="utf-8")
    return 0


def _summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    means = {name: float(np.mean([row[name] for row in rows])) for name in FIGURES}
    for name in SPREAD:
        means[f"{name}_median"] = float(np.median([row[name] for row in rows]))
        means[f"{name}_worst"] = float(np.max([row[name] for row in rows]))
    means["volume_error_mean"] = float(np.mean([row["volume_error"] for row in rows]))
    means["volume_error_absolute"] = float(np.mean(np.abs([row["volume_error"] for row in rows])))
    return {name: float(f"{value:.3g}") for name, value in means.items()}


def _text(prior: ShapePrior, held_out: dict[str, dict[str, float]], cases: int) -> str:
    card, training = prior.card, prior.card["training"]
    lines = [
        f"# {prior.name.capitalize()} prior",
        "",
        f"{card['intended_use']}",
        "",
        f"- Data: {'; '.join(card['data'])}; {card['shapes']} shapes in all.",
        f"- Licence: {card['licence']} (attribution in NOTICE).",
        (
            f"- Training: {training['minutes']} minutes on {training['device']}, shared with other work; "
            f"{training['steps']} steps of {training['settings']['batch_size']} shapes, {training['epochs']} epochs."
        ),
        f"- Weights: {sum(p.numel() for p in prior.decoder.parameters())} parameters, SHA-256 `{prior.digest}`.",
        (
            f"- Radius of the training shapes' bounding spheres: {float(prior.scales_mm.min()):.0f} to "
            f"{float(prior.scales_mm.max()):.0f} mm."
        ),
        *([f"- Side of the body: {prior.side}."] if prior.side else []),
        f"- Bias: {card['bias']}",
        f"- Made by `python Testing/benchmarks/make_prior.py {prior.name}`.",
        "",
        (
            f"Held-out figures, means (medians, worst) over {cases} {HELD_OUT_TITLES[prior.name]} that were "
            "neither trained on nor tuned to (`Testing/benchmarks/heldout.py`; canonical units unless stated, "
            "10,242 vertices, before remeshing):"
        ),
        "",
        "| task | " + " | ".join(FIGURES) + " | volume error (mean, mean absolute) % |",
        "| --- " * (len(FIGURES) + 2) + "|",
    ]
    for task, title in TITLES.items():
        figures = held_out[task]
        cells = [_cell(figures, name, form) for name, form in FIGURES.items()]
        volume = f"{figures['volume_error_mean']:+.1f}, {figures['volume_error_absolute']:.1f}"
        lines.append(f"| {title} | " + " | ".join(cells) + f" | {volume} |")
    return "\n".join(lines) + "\n"


def _cell(figures: dict[str, float], name: str, form: str) -> str:
    mean = form.format(figures[name])
    if name not in SPREAD:
        return mean
    return f"{mean} ({form.format(figures[f'{name}_median'])}, {form.format(figures[f'{name}_worst'])})"


if __name__ == "__main__":
    sys.exit(main())
