/** `npm start`: sets everything up and brings up the whole network on this machine. */
import { runNode } from "./setup.mjs";

runNode(["cli/src/main.ts", "up", ...process.argv.slice(2)]);
