/** For tests: a bridge in a process of its own that dies, as by `kill -9`, when it reaches the point named on its command line. */

import { startBridge } from "../bridge.ts";
import { readBridgeConfig } from "../config.ts";
import { testLog } from "./test-bridge.ts";

const [configPath, crashPoint] = process.argv.slice(2);
const bridge = await startBridge(await readBridgeConfig(configPath!), {
  log: testLog,
  faults: (point) => {
    if (point === crashPoint) process.kill(process.pid, "SIGKILL");
  },
});
process.send?.({ url: bridge.url });
process.on("disconnect", () => process.exit(0));
