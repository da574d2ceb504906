"""Writes a CLIP-style byte-level BPE tokenizer in which every caption word is one token.

Files are those of SD1.x: vocab.json, merges.txt, special_tokens_map.json, tokenizer_config.json.
Any text encodes: unknown words fall apart into smaller pieces, at worst into bytes.

Usage: python make_tokenizer.py <build>
"""

import json
import sys
from collections import Counter
from pathlib import Path

from captions import all_words
from pictures import BACKGROUNDS, load_pictures

MAX_LENGTH = 24
START, END = "<|startoftext|>", "<|endoftext|>"


def byte_symbols() -> list[str]:
    """The 256 printable stand-ins for bytes, in the order of GPT-2 and CLIP."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + n) for n in range(len(other))]


def learn_merges(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges, commonest pair first (ties by text), until every word is one token."""
    split = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges = []
    while True:
        pairs = Counter(pair for word in split for pair in zip(word, word[1:]))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for word in split:
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == best:
                    word[at : at + 2] = ["".join(best)]
                at += 1


def write_tokenizer(folder: Path, words: list[str]):
    merges = learn_merges(words)
    symbols = byte_symbols()
    tokens = symbols + [s + "</w>" for s in symbols] + ["".join(m) for m in merges] + [START, END]
    assert len(set(tokens)) == len(tokens)
    special = {
        "bos_token": {"content": START, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False},
        "eos_token": {"content": END, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False},
        "pad_token": END,
        "unk_token": {"content": END, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False},
    }
    config = {
        "add_prefix_space": False,
        "bos_token": START,
        "do_lower_case": True,
        "eos_token": END,
        "errors": "replace",
        "model_max_length": MAX_LENGTH,
        "pad_token": END,
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": END,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: n for n, token in enumerate(tokens)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2))
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))
    return len(tokens)


if __name__ == "__main__":
    build = Path(sys.argv[1])
    size = write_tokenizer(build / "tokenizer", all_words(load_pictures(build), BACKGROUNDS))
    print(f"{size} tokens")
