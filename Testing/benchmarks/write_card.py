"""Put held-out figures on the liver prior's card: `python Testing/benchmarks/write_card.py`.

Takes them from `results/heldout.json`, which `heldout.py` wrote, and writes the card into the
prior's metadata and beside it as `liver.md`. The weights stay as they are.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine")]

from dals.io.atomic import atomic_path
from dals.prior import ShapePrior, load_prior, save_prior

PRIOR = ROOT / "Resources" / "Priors" / "liver.safetensors"
RESULTS = Path(__file__).resolve().parent / "results" / "heldout.json"
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


def main() -> int:
    """Summarise and write."""
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))
    digests = {row["prior_sha256"] for row in rows}
    prior = load_prior(PRIOR)
    if digests != {prior.digest}:
        print("The figures were measured with other weights; run heldout.py first.", file=sys.stderr)
        return 2
    held_out = {task: _summary([row for row in rows if row["task"] == task]) for task in TITLES}
    cases = len({row["case"] for row in rows})
    card = {
        **prior.card,
        "held_out": {"cases": f"{cases} livers of msd_test, never trained on or tuned to", **held_out},
    }
    save_prior(PRIOR, replace(prior, card=card))
    with atomic_path(PRIOR.with_suffix(".md")) as path:
        path.write_text(_text(replace(prior, card=card), held_out, cases), encoding="utf-8")
    return 0


def _summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    means = {name: float(np.mean([row[name] for row in rows])) for name in FIGURES}
    means["volume_error_mean"] = float(np.mean([row["volume_error"] for row in rows]))
    means["volume_error_absolute"] = float(np.mean(np.abs([row["volume_error"] for row in rows])))
    return {name: float(f"{value:.3g}") for name, value in means.items()}


def _text(prior: ShapePrior, held_out: dict[str, dict[str, float]], cases: int) -> str:
    card, training = prior.card, prior.card["training"]
    lines = [
        "# Liver prior",
        "",
        f"{card['intended_use']}",
        "",
        f"- Data: {'; '.join(card['data'])}; {card['shapes']} shapes in all.",
        f"- Licence: {card['licence']} (attribution in NOTICE).",
        (
            f"- Training: {training['minutes']} minutes on {training['device']}, shared with other work; "
            f"{training['steps']} steps of {training['settings']['batch_size']} shapes, {training['epochs']} epochs. "
            "No GPU was used: more training should improve every figure."
        ),
        f"- Weights: {sum(p.numel() for p in prior.decoder.parameters())} parameters, SHA-256 `{prior.digest}`.",
        (
            f"- Radius of the training livers' bounding spheres: {float(prior.scales_mm.min()):.0f} to "
            f"{float(prior.scales_mm.max()):.0f} mm."
        ),
        f"- Bias: {card['bias']}",
        "- Made by `python Testing/benchmarks/make_prior.py liver`.",
        "",
        (
            f"Held-out figures, means over {cases} livers that were neither trained on nor tuned to "
            "(`Testing/benchmarks/heldout.py`; canonical units unless stated, 2,562 vertices, before remeshing):"
        ),
        "",
        "| task | " + " | ".join(FIGURES) + " | volume error (mean, mean absolute) % |",
        "| --- " * (len(FIGURES) + 2) + "|",
    ]
    for task, title in TITLES.items():
        figures = held_out[task]
        cells = [form.format(figures[name]) for name, form in FIGURES.items()]
        volume = f"{figures['volume_error_mean']:+.1f}, {figures['volume_error_absolute']:.1f}"
        lines.append(f"| {title} | " + " | ".join(cells) + f" | {volume} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
