import assert from "node:assert/strict";
import { test } from "node:test";
import { argsText, people, picture, startFixture } from "./testing/relay-fixture.ts";

const { creator, nodes } = people;

test("serves what it knows while the chain is away, and says that it cannot know more", async (t) => {
  const { chain, client, task, followed, fetch } = await startFixture(t);
  const files = [picture(1)];
  await task.succeeded(1n, files);
  await task.drawn(2n);
  await client(creator).uploadArgs(2n, argsText);
  await client(nodes[0]).uploadResults(1n, files);
  await followed();
  await chain.close();
  assert.deepEqual(await client(creator).getResult(1n, 0), files[0]);
  assert.equal((await client(nodes[1]).getTask(2n)).task_args, argsText);
  await client(nodes[1]).postProgress(2n, { round: 1, stage: "denoising", step: 1, steps: 4 });
  const away = { code: "RELAY_CHAIN_UNAVAILABLE", retryable: true };
  await assert.rejects(client(creator).getTask(3n), away);
  await assert.rejects(client(creator).nodesNumber(), away);
  const health = await fetch("/health");
  const { status, database, chain: seen } = await health.json();
  assert.deepEqual([health.status, status, database, seen.reachable], [503, "degraded", true, false]);
});
