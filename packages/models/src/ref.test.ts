import assert from "node:assert/strict";
import { test } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { isOf, type ModelRef, parseRef } from "./ref.ts";

test("reads Hub ids with revision, variant and file", () => {
  const plain = parseRef("Owner/Model-1.5");
  assert.deepEqual(plain, {
    kind: "hub",
    id: "owner/model-1.5",
    slug: "owner--model-1.5",
    repo: "Owner/Model-1.5",
    revision: "main",
    variant: null,
    file: null,
    sha256: null,
  });
  assert.equal(parseRef("a/b@refs/pr/3").revision, "refs/pr/3");
  assert.equal(parseRef({ name: "a/b", variant: "fp16", revision: "v1" }).variant, "fp16");
  assert.equal(parseRef({ name: "a/b", variant: "", file: null }).slug, "a--b");
});

test("reads addresses of the Hub as what they name there", () => {
  for (const [address, ref] of [
    ["https://huggingface.co/a/b", "a/b"],
    ["https://huggingface.co/a/b/tree/v1", { name: "a/b", revision: "v1" }],
    ["https://hf.co/a/b/blob/main/x/y.safetensors?download=true", { name: "a/b", file: "x/y.safetensors" }],
    [
      "https://huggingface.co/a/b/resolve/refs%2Fpr%2F1/y.safetensors",
      { name: "a/b", revision: "refs/pr/1", file: "y.safetensors" },
    ],
  ] satisfies [string, ModelRef][])
    assert.deepEqual(parseRef(address), parseRef(ref));
});

test("gives every form of a model a folder of its own", () => {
  const refs: ModelRef[] = [
    "a/b",
    "a/b@v1",
    "a/b@v2",
    { name: "a/b", variant: "fp16" },
    { name: "a/b", file: "fp16.safetensors" },
    { name: "a/b", file: "c/fp16.safetensors" },
    "https://civitai.com/api/download/models/1",
    "https://civitai.com/api/download/models/1?type=Model",
    "https://civitai.com/api/download/models/2",
  ];
  assert.equal(new Set(refs.map((ref) => parseRef(ref).slug)).size, refs.length);
  assert.equal(parseRef("A/B").slug, parseRef({ name: "a/b", revision: "main" }).slug);
});

test("keeps a token out of what an address is", () => {
  const bare = parseRef("https://civitai.com/api/download/models/1?type=Model");
  const ref = parseRef("https://civitai.com/api/download/models/1?type=Model&token=secret");
  assert.equal(ref.id, bare.id);
  assert.ok(ref.kind === "url" && ref.token === "secret" && !ref.url?.includes("secret"));
});

test("an address may pin its content, and an id of the store stands for it", () => {
  const hash = "ab".repeat(32);
  const ref = parseRef(`https://civitai.com/x#sha256=${hash.toUpperCase()}`);
  assert.equal(ref.sha256, hash);
  assert.match(ref.id, /^url--civitai\.com\/[0-9a-f]{32}$/);
  assert.equal(parseRef(ref.id).slug, ref.slug);
  const manifest = { id: ref.id, files: { "model.safetensors": hash }, source: ref };
  assert.ok(isOf(ref, manifest));
  assert.ok(!isOf(ref, { ...manifest, files: { "model.safetensors": "cd".repeat(32) } }));
});

test("refuses what names nothing, above all what could leave the store", () => {
  for (const ref of [
    "",
    "model",
    "a/b/c",
    "../b",
    "a/..",
    "a/b..c",
    "a--b/c",
    "url--civitai.com/x",
    "a/b@../x",
    "a/b@",
    "/a/b",
    "a\\b/c",
    "a/b\n",
    "https://",
    "https://user:pass@civitai.com/x",
    "https://civitai.com/x#sha256=12",
    "https://huggingface.co/a",
    "https://huggingface.co/a/b/raw/main/x.safetensors",
    "https://huggingface.co/..%2Fa/b",
    "https://huggingface.co/a/b/resolve/main/..%2f..%2fx.safetensors",
    { name: "a/b", file: "../x.safetensors" },
    { name: "a/b", file: "/x.safetensors" },
    { name: "a/b", variant: "../x" },
    { name: "a/b", sha256: "xyz" },
  ] satisfies ModelRef[])
    assert.throws(
      () => parseRef(ref),
      (error) => isHydrogenError(error, "MODEL_REF_INVALID") && error.failureClass === "args_invalid",
      JSON.stringify(ref),
    );
  assert.throws(() => parseRef({ name: "a/b", file: "model.ckpt" }), { code: "MODEL_NO_SAFETENSORS" });
});
