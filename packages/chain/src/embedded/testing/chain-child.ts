/** A chain in a process of its own, to be killed: `node chain-child.ts DATA_DIR [BLOCK_TIME_SEC]`. Prints its URL. */
import { startEmbeddedChain } from "../index.ts";
import { alloc } from "./test-chain.ts";

const [dataDir, blockTimeSec] = process.argv.slice(2);
const { url } = await startEmbeddedChain({
  dataDir: dataDir!,
  alloc,
  ...(blockTimeSec === undefined ? {} : { blockTimeSec: Number(blockTimeSec) }),
});
process.stdout.write(`${url}\n`);
