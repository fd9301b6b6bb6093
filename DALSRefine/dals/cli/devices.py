"""The option --device."""

from __future__ import annotations

import argparse
import os


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add --device to a command."""
    help_text = "auto (CUDA if available, else the CPU), cpu, cuda, or mps (untested, may lack operations)"
    parser.add_argument("--device", default="auto", help=help_text)


def prepare_for(device: str | None) -> None:
    """Let torch fall back to the CPU for operations that MPS lacks; it must be set before torch is imported."""
    if device == "mps":
        os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
