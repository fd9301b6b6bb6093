"""`dals info`: shows the card of a prior."""

from __future__ import annotations

import argparse
import json

SUMMARY = "Show the card of a prior, or list the available priors."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "prior", nargs="?", metavar="PRIOR", help="name or file of a prior; without it, list the available ones"
    )
    parser.add_argument("--json", action="store_true", help="print the card as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the card, or the list of priors."""
    from dals.model.prior import load_prior
    from dals.model.prior_files import available_priors

    if options.prior is None:
        for name, path in sorted(available_priors().items()):
            print(f"{name}\t{path}")
        return 0
    prior = load_prior(options.prior)
    sizes = prior.decoder.settings
    facts = {
        "name": prior.name,
        "sha256": prior.digest,
        "training_shapes": len(prior.latents),
        "latent_size": sizes.latent_size,
        "hidden_sizes": list(sizes.hidden_sizes),
        "parameters": sum(p.numel() for p in prior.decoder.parameters()),
        "radius_mm": [round(float(x), 1) for x in prior.scales_mm.aminmax()],
        **dict(prior.card),
    }
    if options.json:
        print(json.dumps(facts, indent=2))
        return 0
    for key, value in facts.items():
        print(f"{key.replace('_', ' ')}: {_text(value)}")
    return 0


def _text(value: object, indent: str = "  ") -> str:
    if isinstance(value, dict):
        return "".join(f"\n{indent}{k.replace('_', ' ')}: {_text(v, indent + '  ')}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)
