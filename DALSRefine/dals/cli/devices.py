"""The option --device of the commands that compute."""

from __future__ import annotations

import argparse
import os


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Declare it."""
    help_text = "auto (CUDA if there, else the processor), cpu, cuda, or mps (untested, may lack operations)"
    parser.add_argument("--device", default="auto", help=help_text)


def prepare_for(device: str | None) -> None:
    """Let the processor do what MPS cannot; torch looks for the wish only while it is being imported."""
    if device == "mps":
        os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
