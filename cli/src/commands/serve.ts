/** `hydrogen relay|node|bridge <config>`: runs one service in the foreground. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";

const services = [
  {
    name: "relay",
    main: "@hydrogen/relay/main",
    about: "carry task args and results between applications and nodes",
  },
  { name: "node", main: "@hydrogen/node/main", about: "run tasks on this machine and earn CNX" },
  {
    name: "bridge",
    main: "@hydrogen/bridge/main",
    about: "serve the inference API with a wallet of its own",
  },
];

export function serviceCommands(command: Command, signal: AbortSignal): void {
  for (const { name, main, about } of services) {
    command
      .command(name)
      .description(about)
      .argument("<config>", "its configuration, a JSON file; docs/config.md lists the settings")
      .action((config: string) => run(fileURLToPath(import.meta.resolve(main)), config, signal));
  }
}

function run(script: string, config: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...process.execArgv, script, config], { stdio: "inherit" });
    signal.addEventListener("abort", () => child.kill("SIGTERM"), { once: true });
    child.on("exit", (code) => {
      process.exitCode = code ?? 1;
      resolve();
    });
  });
}
