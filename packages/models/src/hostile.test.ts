import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { createServer } from "node:http";
import { relative } from "node:path";
import { after, test } from "node:test";
import { isHydrogenError } from "@hydrogen/std";
import { listen, pipelineFiles, type Repo, safetensors, stop } from "./testing/hub.ts";
import { createBench } from "./testing/stores.ts";

const { root, hub, newStore, newRepo } = await createBench();

const evilPaths = [
  "../escaped.safetensors",
  "unet/../../escaped.safetensors",
  "/escaped.safetensors",
  "C:\\escaped.safetensors",
  "..\\escaped.safetensors",
  "unet/./escaped.safetensors",
  "unet//escaped.safetensors",
  "unet/escaped\0.safetensors",
  ".hidden.safetensors",
  "hydrogen.json",
];

test("a repository's evil paths are never written, whatever selects them", async () => {
  const evil = Object.fromEntries(evilPaths.map((path) => [path, safetensors(50)]));
  const { store } = newStore();
  const pipeline: Repo = { files: { ...pipelineFiles(), ...evil } };
  const index = JSON.parse(String(pipeline.files["model_index.json"]));
  for (const component of ["..", "../..", ".", "", "__proto__", "unet/.."])
    index[component] = ["diffusers", "UNet2DConditionModel"];
  pipeline.files["model_index.json"] = JSON.stringify(index);
  const { files } = await store.pull(newRepo(pipeline));
  for (const path of evilPaths) assert.ok(!(path in files), path);
  await assert.rejects(store.pull(newRepo({ files: evil })), { code: "MODEL_INCOMPLETE" });
  for (const file of evilPaths)
    await assert.rejects(store.pull({ name: newRepo({ files: evil }), file }), (error) =>
      isHydrogenError(error, "MODEL_REF_INVALID", "MODEL_NO_SAFETENSORS"),
    );
  const written = await readdir(root, { recursive: true });
  assert.deepEqual(
    written.filter((path) => /escaped|hidden/.test(relative(root, path))),
    [],
  );
});

test("a listing or an index that is none ends in a coded error", async () => {
  const answers: [string, string][] = [
    ["", "MODEL_SERVER_INVALID"],
    ["[]", "MODEL_SERVER_INVALID"],
    ["<html>", "MODEL_SERVER_INVALID"],
    [`{"sha":"../../x","siblings":[]}`, "MODEL_SERVER_INVALID"],
    [`{"sha":"${"a".repeat(40)}","siblings":[{"rfilename":5}]}`, "MODEL_SERVER_INVALID"],
    [
      `{"sha":"${"a".repeat(40)}","siblings":[{"rfilename":"a.safetensors","size":-1}]}`,
      "MODEL_SERVER_INVALID",
    ],
    [
      `{"sha":"${"a".repeat(40)}","siblings":[{"rfilename":"a.safetensors","size":1e300}]}`,
      "MODEL_SERVER_INVALID",
    ],
    [`{"sha":"${"a".repeat(40)}","siblings":[]}`, "MODEL_INCOMPLETE"],
    ["x".repeat(17 * 2 ** 20), "MODEL_SERVER_INVALID"],
  ];
  let answer = "";
  const server = createServer((_request, response) => response.end(answer));
  const endpoint = await listen(server);
  after(() => stop(server));
  const { store } = newStore({ endpoint });
  for (const [text, code] of answers) {
    answer = text;
    await assert.rejects(store.pull("a/b"), { code }, text.slice(0, 100));
  }
  for (const index of ["", "5", "null", "[1]", "{}", `{"unet":5,"vae":[null,null]}`])
    await assert.rejects(
      newStore().store.pull(newRepo({ files: { ...pipelineFiles(), "model_index.json": index } })),
      (error) => isHydrogenError(error, "MODEL_INCOMPLETE", "MODEL_SERVER_INVALID"),
      index,
    );
});

test("a mirror cannot send the store into the private network", async () => {
  const inside = createServer((_request, response) => response.end(safetensors(100)));
  let connections = 0;
  inside.on("connection", () => connections++);
  const insideOrigin = await listen(inside);
  after(() => stop(inside));
  const id = newRepo({ files: { "lora.safetensors": safetensors(1_000) } });
  // The file host is not trusted here, so its redirect is one into the private network.
  await assert.rejects(newStore({ trustedOrigins: [] }).store.pull(id), { code: "MODEL_HOST_REFUSED" });
  await assert.rejects(newStore().store.pull(`${insideOrigin}/model.safetensors`), {
    code: "MODEL_HOST_REFUSED",
  });
  await assert.rejects(
    newStore(
      { allowedHosts: ["*"] },
      { lookup: async () => [{ address: "10.0.0.1", family: 4 }] },
    ).store.pull("https://rebound.example/model.safetensors"),
    { code: "MODEL_ADDRESS_REFUSED" },
  );
  assert.equal(connections, 0);
});

test("by default nothing but Hugging Face and Civitai is asked, and nobody is looked up for anything else", async () => {
  const looked: string[] = [];
  const lookup = async (hostname: string) => {
    looked.push(hostname);
    return [{ address: "127.0.0.1", family: 4 }];
  };
  const { store } = newStore({ endpoint: undefined, trustedOrigins: [] }, { lookup });
  await assert.rejects(store.pull("https://evil.example/x"), { code: "MODEL_HOST_REFUSED" });
  await assert.rejects(store.pull("https://civitai.com/api/download/models/1"), {
    code: "MODEL_ADDRESS_REFUSED",
  });
  await assert.rejects(store.pull("a/b"), { code: "MODEL_ADDRESS_REFUSED" });
  assert.deepEqual(looked, ["civitai.com", "huggingface.co"]);
  assert.equal(
    hub.requests.some(({ url }) => url.includes("civitai")),
    false,
  );
});
