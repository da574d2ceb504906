/** For tests: a node in a process of its own that dies, as by `kill -9`, when it reaches the point named on its command line. */
import { readNodeConfig } from "../config.ts";
import { startNode } from "../node.ts";
import { testLog } from "./test-network.ts";

const [configPath, crashPoint] = process.argv.slice(2);
const config = await readNodeConfig(configPath!);
const node = await startNode(config, {
  log: testLog(crashPoint === undefined ? "whole" : `until ${crashPoint}`),
  faults: (point) => {
    if (point !== crashPoint) return;
    process.kill(process.pid, "SIGKILL");
    // The signal ends the process before anything else can happen.
    return new Promise(() => undefined);
  },
});
process.send?.({ apiUrl: node.apiUrl });
process.on("disconnect", () => process.exit(0));
