/** Run as a process by restart.test.ts: sends payments and kills itself at a given moment. */
import { openDatabase } from "@hydrogen/storage";
import type { Address } from "viem";
import { transferCall } from "./calls.ts";
import type { OutboxStore } from "./outbox.ts";
import { connectRpc } from "./rpc.ts";
import { createSender } from "./sender.ts";
import { chainMigrations, sqliteOutbox } from "./sqlite.ts";
import { accounts, faultyLine } from "./testing-line.ts";

export type Moment = "signed" | "kept" | "broadcast" | "mined" | "recorded" | "never";

const [url, dbPath, to, payments, moment, nth] = process.argv.slice(2) as [
  string,
  string,
  Address,
  string,
  Moment,
  string,
];

let times = 0;
function reached(here: Moment): void {
  if (here === moment && ++times === Number(nth)) process.kill(process.pid, "SIGKILL");
}

const kept = sqliteOutbox(openDatabase(dbPath, chainMigrations));
const outbox: OutboxStore = (scope) => {
  const inner = kept(scope);
  return {
    ...inner,
    put: (record) => {
      if (record.state === "open") reached("signed");
      inner.put(record);
      reached(record.state === "open" ? "kept" : "recorded");
    },
  };
};
const transport = faultyLine(url, async (method, _params, next) => {
  const answer = await next();
  if (method === "eth_sendRawTransaction") reached("broadcast");
  if (method === "eth_getTransactionReceipt" && answer !== null) reached("mined");
  return answer;
});
const chain = await connectRpc({ rpcUrl: url, pollMs: 20, transport });
const sender = createSender({ chain, account: accounts[0]!, outbox });
sender.resume();
const keys = Array.from({ length: Number(payments) }, (_, i) => `pay ${i}`);
const sent = await Promise.all(keys.map((key) => sender.send({ key, call: transferCall(to, 1n) })));
process.stdout.write(JSON.stringify(sent.map(({ hash }) => hash)));
process.exit(0);
