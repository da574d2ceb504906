"""Makes test-vectors/diffusion/prompts.*: how Compel reads the prompts of prompts.txt, and what it encodes them to.

    python packages/diffusion/goldens/prompts.py

Needs compel 2.4.0 besides what generate.py needs, and the checkpoints that generate.py makes.

    python packages/diffusion/goldens/prompts.py parse < prompts.json > parsed.json

only reads a list of prompts, for comparing many at random.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from compel import Compel, DiffusersTextualInversionManager
from compel.prompt_parser import Blend, CrossAttentionControlSubstitute, PromptParser
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[2] / "test-vectors" / "diffusion"

LONG = "the quick brown fox jumps over the lazy dog"
# What is encoded, on which checkpoint. Each is here for something that only it tells.
ENCODED = {
    "classic-kl-fp16": [
        "",
        "a red apple on a table",
        "a red+ apple on a++ table--",
        "a (red apple)1.4 on a (blue table)0.6",
        "a (red apple)0 on a table",
        "a (red apple)0.97 on a table",
        "((a red)+ apple)1.5 (cat)0.2 (dog)0.2 bird",
        '("a red apple", "a blue cat").blend(1, 1)',
        '("a red+ apple", "a (blue cat)0.5", "dog").blend(3, 1, 0.5)',
        '("a red apple", "a blue cat").blend(1, -0.3, no_normalize)',
        '("a red apple", "a blue cat").and()',
        '("a red apple", "a (blue cat)0.5", "dog++").and(1, 0.5, 1.5)',
        '("a red apple", "' + f"{LONG} " * 4 + '").blend(0.7, 0.3)',
        '("dog", "' + f"{LONG} " * 4 + 'cat").and(0.6, 1.2)',
        "a cat.swap(dog, s_start=0.1) on (a table)1.2",
        "(the cat.swap(dog))0.8 on a table",
        "3 cats & 42 dogs: 50% off (really?)",
        "café++ (naïve 日本語)0.7 🙂",
        # 75 tokens, and 76.
        "a " * 74 + "cat",
        "a " * 75 + "cat",
        # Cut at the last sentence, at the last phrase, at the last word, and in the middle of a word.
        f"{LONG}. {LONG}, {LONG}; {LONG}: {LONG} {LONG} {LONG} {LONG} {LONG}",
        f"{LONG}, {LONG} {LONG} {LONG} {LONG} {LONG} {LONG} {LONG} {LONG}",
        f"{LONG} " * 12,
        f"{LONG}; {LONG} {LONG}: " + f"{LONG} " * 6,
        f"{LONG}, {LONG}; " + f"{LONG} " * 6,
        "xq" * 60,
        "a red apple ... " * 14,
        # Weights across a cut: the end of one part and the beginning of the next.
        f"{LONG} {LONG} ({LONG} {LONG}. {LONG} {LONG} {LONG})1.3 {LONG}",
        f"{LONG} ({LONG} {LONG}. {LONG} {LONG} {LONG} {LONG})0.6 {LONG} (cat)0.9",
        f"({LONG} " + f"{LONG}. " * 3 + f"{LONG} " * 5 + ")0.4 dog++",
        "<|startoftext|>a cat<|endoftext|> dog+",
        "a\u00a0cat,,dog,(fish)1.3,bird-",
        'withLora(foo, 0.5) a "red apple"++ on a table',
        '("a red apple", "a blue cat").and() dog',
    ],
    # Another token for padding, which is an ordinary word.
    "deep-tiny-v": [
        "a red apple on a table",
        "a (red apple)1.4! on a (blue table)0.6",
        f"{LONG}! ({LONG}, {LONG} {LONG}. {LONG} {LONG} {LONG} {LONG})0.6 {LONG} (cat!)0.9",
        '("a red apple!", "a blue cat").and(1, 0.5)',
    ],
}
# With learned words: a vector, several, and several in half precision as other programs write them.
LEARNED = {"cat-toy": "<cat-toy>", "style": "<style>", "hat": "hat"}
LEARNED_PROMPTS = [
    "a <cat-toy> on a table",
    "a <cat-toy>++ on a (red <CAT-TOY>)0.7, <cat-toy>-",
    "a <style> picture of a<Style>cat (<style> dog)1.3",
    f"{LONG} {LONG} {LONG} {LONG} {LONG} {LONG} {LONG} {LONG} <style> <style>",
    "a hat+ on that table",
]
NEGATIVES = [("a red+ apple", f"{LONG} " * 12), (f"{LONG}. " * 12, "dark (blue)0.5"), ("cat", '("dog", "fish").and()')]

PARSER = PromptParser()


def fragments_of(children):
    for child in children:
        if isinstance(child, CrossAttentionControlSubstitute):
            yield from fragments_of(child.original)
        else:
            yield [child.text, child.weight]


def parsed(prompt):
    """What Compel reads, or the name of the error if it refuses."""
    try:
        conjunction = PARSER.parse_conjunction(prompt)
    except Exception as error:
        return {"prompt": prompt, "refused": type(error).__name__}
    combine, parts, weights = "and", conjunction.prompts, conjunction.weights
    if any(isinstance(part, Blend) for part in parts):
        [blend] = parts
        combine = "mean" if blend.normalize_weights else "sum"
        parts, weights = blend.prompts, blend.weights
    parts = [{"fragments": list(fragments_of(part.children)), "weight": weight} for part, weight in zip(parts, weights)]
    loras = [[lora.model, lora.weight] for lora in conjunction.lora_weights]
    return {"prompt": prompt, "combine": combine, "parts": parts, "loras": loras}


class FixedCompel(Compel):
    """2.4.0 passes itself an argument that it does not take, so that no blend and no swap can be encoded.

    https://github.com/damian0815/compel/pull/131
    """

    def _get_conditioning_for_flattened_prompt(self, prompt, should_return_tokens=True):
        return super()._get_conditioning_for_flattened_prompt(prompt)

    def _get_conditioning_for_blend(self, blend):
        # The list of its parts' tokens cannot be joined when they differ in length; nobody looks at them.
        conditioning, _ = super()._get_conditioning_for_blend(blend)
        return conditioning, torch.empty(1, 0)


def make_learned(size):
    folder = OUT / "embeddings"
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(31)
    draw = lambda *shape: 0.5 * torch.randn(shape, generator=generator)
    save_file({"<cat-toy>": draw(size)}, folder / "cat-toy.safetensors")
    save_file({"<style>": draw(3, size).bfloat16()}, folder / "style.safetensors")
    save_file({"emb_params": draw(2, size).half()}, folder / "hat.safetensors")
    return folder


def encoder(name):
    pipe = StableDiffusionPipeline.from_pretrained(OUT / name, torch_dtype=torch.float32)
    manager = DiffusersTextualInversionManager(pipe)
    options = {"tokenizer": pipe.tokenizer, "text_encoder": pipe.text_encoder, "truncate_long_prompts": False}
    return pipe, FixedCompel(**options), FixedCompel(**options, textual_inversion_manager=manager)


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    lines = (HERE / "prompts.txt").read_text().splitlines()
    facts = {"compel": version("compel"), "parsed": [parsed(line) for line in lines], "encoded": [], "pairs": []}
    tensors = {}
    for name, prompts in ENCODED.items():
        pipe, compel, _ = encoder(name)
        for prompt in prompts:
            key = f"encoded.{len(facts['encoded'])}"
            try:
                tensors[key] = compel.build_conditioning_tensor(prompt)
            except Exception as error:
                print(name, repr(prompt[:60]), type(error).__name__, error)
                continue
            facts["encoded"].append({"checkpoint": name, "prompt": prompt})
    pipe, compel, expanding = encoder("classic-kl-fp16")
    for positive, negative in NEGATIVES:
        embeddings = [compel.build_conditioning_tensor(prompt) for prompt in (negative, positive)]
        embeddings = compel.pad_conditioning_tensors_to_same_length(embeddings)
        tensors[f"pair.{len(facts['pairs'])}"] = torch.cat(embeddings)
        facts["pairs"].append({"prompt": positive, "negative": negative})
    folder = make_learned(pipe.text_encoder.config.hidden_size)
    for file, token in LEARNED.items():
        pipe.load_textual_inversion(folder / f"{file}.safetensors", token=token)
    facts["learned"] = [{"prompt": prompt} for prompt in LEARNED_PROMPTS]
    for index, prompt in enumerate(LEARNED_PROMPTS):
        tensors[f"learned.{index}"] = expanding.build_conditioning_tensor(prompt)
    save_file({key: value.contiguous() for key, value in tensors.items()}, OUT / "prompts.safetensors")
    (OUT / "prompts.json").write_text(json.dumps(facts, ensure_ascii=False, separators=(",", ":")) + "\n")


if sys.argv[1:] == ["parse"]:
    json.dump([parsed(prompt) for prompt in json.load(sys.stdin)], sys.stdout)
else:
    main()
