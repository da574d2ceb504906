/** The `hydrogen` command. */
import { isHydrogenError } from "@hydrogen/std";
import { Command } from "commander";
import { doctorCommand } from "./commands/doctor.ts";
import { imageCommand } from "./commands/image.ts";
import { modelsCommand } from "./commands/models.ts";
import { serviceCommands } from "./commands/serve.ts";
import { upCommand } from "./commands/up.ts";
import { reportError } from "./report.ts";

/** Ctrl-C often arrives twice, from the terminal and passed on by npm: within this time it is one request. */
const sameRequestMs = 1_000;
const interrupted = new AbortController();
let interruptedMs = 0;
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    if (interrupted.signal.aborted) {
      if (performance.now() - interruptedMs > sameRequestMs) process.exit(130);
      return;
    }
    interruptedMs = performance.now();
    interrupted.abort(new DOMException(name, "AbortError"));
  });
}

const program = new Command("hydrogen")
  .description("Hydrogen Network: images made by three nodes that must agree, paid by a contract.")
  .version("0.1.0")
  .showHelpAfterError("(hydrogen --help says more)")
  .addHelpText(
    "after",
    '\nStart here:\n  $ hydrogen up                      the whole network on this machine\n  $ hydrogen image "a red apple"     an image from it\n  $ hydrogen doctor                  what this machine has and lacks',
  );
upCommand(program, interrupted.signal);
imageCommand(program, interrupted.signal);
modelsCommand(program, interrupted.signal);
doctorCommand(program);
serviceCommands(program, interrupted.signal);

try {
  await program.parseAsync();
} catch (error) {
  if (interrupted.signal.aborted) process.exitCode = 130;
  else report(error);
}

function report(error: unknown): void {
  process.exitCode = 1;
  if (!isHydrogenError(error)) console.error(error);
  else reportError(console, error);
}
