"""Draws a contact sheet with the stock diffusers pipeline: one row per prompt, one column per seed.

Usage: python sample.py <model folder> <out.png> [--scheduler euler_a|dpm] [--steps 20] [--guidance 3] [--seeds 2] [prompt ...]
"""

import argparse
import time
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from PIL import Image

PROMPTS = (
    "a red apple", "a cat", "a smiling face", "a dog", "a heart", "a star", "the sun", "a house",
    "a car", "a tree", "a flower", "a fish", "a rocket", "a pizza", "a panda", "a robot",
    "a green apple", "a lemon", "a banana", "a strawberry", "a carrot", "a mushroom", "a hamburger", "a birthday cake",
    "a lion", "a fox", "a pig", "a frog", "a penguin", "an owl", "a bee", "a butterfly",
    "a sunflower", "a rose", "a rainbow", "a cloud", "an umbrella", "a soccer ball", "a crown", "an angry face",
    "a blue car", "a yellow car", "a red star", "a blue star", "a yellow fish", "a green balloon", "a purple flower", "a green heart",
    "a cat on a blue background", "a red apple on a yellow background", "a star on a black background", "a rocket on a purple background",
    "a dog, green background", "a heart on a cyan background", "a house on pink", "a photo of a banana",
)


def load(folder: Path, scheduler: str) -> StableDiffusionPipeline:
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    if scheduler == "dpm":
        pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    return pipe


def draw(pipe, prompts, seeds, steps, guidance) -> list[Image.Image]:
    """One image per (prompt, seed); each has its own generator, so an image does not depend on its batch."""
    generators = [torch.Generator().manual_seed(s) for s in seeds]
    return pipe(list(prompts), num_inference_steps=steps, guidance_scale=guidance, generator=generators).images


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("prompts", nargs="*")
    parser.add_argument("--scheduler", choices=("euler_a", "dpm"), default="euler_a")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--per-row", type=int, default=8, help="prompts side by side")
    args = parser.parse_args()
    torch.set_num_threads(2)
    pipe = load(args.model, args.scheduler)
    prompts = args.prompts or PROMPTS
    start = time.time()
    side, gap = 64, 6
    rows = -(-len(prompts) // args.per_row)
    width = args.per_row * (args.seeds * side + gap) - gap
    page = Image.new("RGB", (width, rows * (side + gap) - gap), (200, 200, 200))
    for at, prompt in enumerate(prompts):
        for seed, image in enumerate(draw(pipe, [prompt] * args.seeds, range(args.seeds), args.steps, args.guidance)):
            left = (at % args.per_row) * (args.seeds * side + gap) + seed * side
            page.paste(image, (left, at // args.per_row * (side + gap)))
        print(f"row {at // args.per_row + 1}, column {at % args.per_row + 1}: {prompt}")
    page.save(args.out)
    count = len(prompts) * args.seeds
    print(f"{(time.time() - start) / count:.2f} s per image, {count} images, {args.scheduler}, {args.steps} steps, guidance {args.guidance}")


if __name__ == "__main__":
    main()
