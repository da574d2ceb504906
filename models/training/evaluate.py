"""Measures obedience: is the training picture nearest to a drawing one that the prompt names?

Three prompt sets, each with a control in which the same drawings are dealt to other prompts at random:
  concept     "a cat"                          the nearest picture's concept
  colour      "a blue car"                     the nearest picture's concept, colour included
  background  "a cat on a blue background"     the nearest named colour of the border, and the concept
Distance is the mean squared difference of 32x32 thumbnails, over all sizes and a grid of places.
This measures recall of the training set; it says nothing about prompts outside it.

Usage: python evaluate.py <build> <model folder> [--seeds 2] [--steps 20] [--guidance 3] [--scheduler euler_a|dpm]
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
import torch

from captions import with_article
from pictures import BACKGROUNDS, SUBJECT_PX, compose
from sample import draw, load
from train_unet import trained_pictures

BATCH = 32
SHIFTS = ((0, 0), (-2, 0), (2, 0), (0, -2), (0, 2))


def thumbnails(images) -> np.ndarray:
    pixels = np.stack([np.asarray(i) for i in images]).astype(np.float32) / 255
    return pixels.reshape(len(pixels), 32, 2, 32, 2, 3).mean((2, 4)).reshape(len(pixels), -1)


class Gallery:
    """Every picture on one background, for nearest-neighbour look-up."""

    def __init__(self, pictures, background):
        views = [(p, s, d) for p in pictures for s in SUBJECT_PX for d in SHIFTS]
        self.concepts = [p.concept for p, _, _ in views]
        self.points = torch.from_numpy(thumbnails(compose(p, BACKGROUNDS[background], s, *d) for p, s, d in views))

    def nearest(self, images):
        """(concept, root mean squared distance) of each image's neighbour."""
        query = torch.from_numpy(thumbnails(images))
        distance, index = torch.cdist(query, self.points).min(1)
        return [(self.concepts[i], float(d) / query.shape[1] ** 0.5) for i, d in zip(index, distance)]


def border_colour(image) -> str:
    pixels = np.asarray(image).astype(np.float32)
    border = np.concatenate([pixels[:2].reshape(-1, 3), pixels[-2:].reshape(-1, 3), pixels[:, :2].reshape(-1, 3), pixels[:, -2:].reshape(-1, 3)])
    middle = np.median(border, 0)
    return min(BACKGROUNDS, key=lambda name: ((middle - BACKGROUNDS[name]) ** 2).sum())


def draw_all(pipe, jobs, args):
    """jobs: (prompt, seed). Returns images in the same order."""
    images = []
    for at in range(0, len(jobs), BATCH):
        part = jobs[at : at + BATCH]
        images += draw(pipe, [p for p, _ in part], [s for _, s in part], args.steps, args.guidance)
    return images


def rate(wanted, found):
    """Share of matches, and the same with the drawings shuffled among the prompts."""
    shuffled = found[:]
    random.Random(0).shuffle(shuffled)
    count = sum(a == b for a, b in zip(wanted, found))
    control = sum(a == b for a, b in zip(wanted, shuffled))
    return {"match": count, "of": len(wanted), "shuffled control": control}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--scheduler", default="euler_a")
    args = parser.parse_args()
    torch.set_num_threads(2)
    pictures = trained_pictures(args.build)
    plain = sorted({p.concept for p in pictures if not p.colour})
    coloured = sorted({p.concept for p in pictures if p.colour})
    white = Gallery(pictures, "white")
    pipe = load(args.model, args.scheduler)
    report = {"scheduler": args.scheduler, "steps": args.steps, "guidance": args.guidance, "seeds": args.seeds}

    jobs = [(c, s) for c in plain + coloured for s in range(args.seeds)]
    found = white.nearest(draw_all(pipe, [(with_article(c), s) for c, s in jobs], args))
    names = [name for name, _ in found]
    split = len(plain) * args.seeds
    report["concept"] = rate([c for c, _ in jobs[:split]], names[:split])
    report["colour"] = rate([c for c, _ in jobs[split:]], names[split:])
    report["median distance to nearest picture"] = round(float(np.median([d for _, d in found])), 4)
    misses = {}
    for (concept, _), name in zip(jobs, names):
        if name != concept:
            misses.setdefault(concept, []).append(name)
    report["misses"] = misses

    rng = random.Random(1)
    asked = [(rng.choice(plain), b) for b in BACKGROUNDS for _ in range(8)]
    images = draw_all(pipe, [(f"{with_article(c)} on a {b} background", n) for n, (c, b) in enumerate(asked)], args)
    report["background"] = rate([b for _, b in asked], [border_colour(i) for i in images])
    galleries = {b: Gallery(pictures, b) for b in BACKGROUNDS}
    on_colour = [galleries[b].nearest([i])[0][0] for (_, b), i in zip(asked, images)]
    report["concept on a background"] = rate([c for c, _ in asked], on_colour)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
