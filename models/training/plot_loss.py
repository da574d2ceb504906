"""Puts both loss curves into the model folder: loss.csv (one table) and loss.png.

Usage: python plot_loss.py <build> <model folder>
"""

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PARTS = (("autoencoder", "vae-loss.csv"), ("autoencoder, resumed", "vae-loss-resumed.csv"), ("decoder only", "decoder-loss.csv"), ("diffusion", "unet-loss.csv"))


def main(build: Path, model: Path):
    figure, axes = plt.subplots(1, 2, figsize=(9, 3), dpi=90)
    with (model / "loss.csv").open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("part", "step", "seconds", "loss"))
        for part, name in PARTS:
            if not (build / name).exists():
                continue
            rows = list(csv.reader((build / name).open()))[1:]
            writer.writerows((part, *row) for row in rows)
            axis = axes[int(part == "diffusion")]
            axis.plot([float(r[1]) / 60 for r in rows], [float(r[2]) for r in rows], label=part)
    axes[0].set_title("mean absolute error, 0..1")
    axes[0].legend()
    axes[1].set_title("diffusion: mean squared error of v")
    for axis in axes:
        axis.set_xlabel("minutes")
        axis.set_yscale("log")
        axis.grid(alpha=0.3, which="both")
    figure.tight_layout()
    figure.savefig(model / "loss.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
