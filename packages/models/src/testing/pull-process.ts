/** A process that pulls a model, to be killed: node pull-process.ts dir endpoint filesOrigin ref */
import { systemClock } from "@hydrogen/std";
import { createModelStore } from "../store.ts";

const [dir, endpoint, filesOrigin, ref] = process.argv.slice(2) as [string, string, string, string];
const store = createModelStore(
  {
    dir,
    endpoint,
    trustedOrigins: [filesOrigin],
    minFreeBytes: 0,
    pieceBytes: 64 * 1024,
    spanBytes: 256 * 1024,
    connections: 1,
  },
  { clock: systemClock },
);
const model = await store.pull(ref, { onProgress: ({ phase }) => console.log(phase) });
console.log(model.dir);
store.close();
