// The commands of `qkm`, each loaded when it is called.

import { readFileSync } from "node:fs";
import { Command } from "commander";

/** What adds each command; only the file of the one that is called is loaded. In the order of the help. */
const COMMANDS: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  up: async () => (await import("../up/command.ts")).registerUpCommand,
  app: async () => (await import("../app/command.ts")).registerAppCommand,
  status: async () => (await import("../status.ts")).registerStatusCommand,
  cluster: async () => (await import("../cluster.ts")).registerClusterCommand,
  controller: async () => (await import("../controller.ts")).registerControllerCommand,
  view: async () => (await import("../view/command.ts")).registerViewCommand,
  selftest: async () => (await import("../selftest.ts")).registerSelftestCommand,
  bench: async () => (await import("../bench.ts")).registerBenchCommand,
  init: async () => (await import("../init.ts")).registerInitCommand,
  check: async () => (await import("../check.ts")).registerCheckCommand,
  ca: async () => (await import("../ca/command.ts")).registerCaCommand,
  run: async () => (await import("../run.ts")).registerRunCommand,
  console: async () => (await import("../console/command.ts")).registerConsoleCommand,
  audit: async () => (await import("../audit/command.ts")).registerAuditCommand,
  forget: async () => (await import("../anew.ts")).registerForgetCommand,
  "accept-module": async () => (await import("../anew.ts")).registerAcceptModuleCommand,
  reload: async () => (await import("../reload.ts")).registerReloadCommand,
  zeroise: async () => (await import("../zeroise.ts")).registerZeroiseCommand,
  appliance: async () => (await import("../appliance/command.ts")).registerApplianceCommand,
  completion: async () => (await import("../completion/command.ts")).registerCompletionCommand,
  module: async () => (await import("../module.ts")).registerModuleCommand,
  boxes: async () => (await import("../boxes.ts")).registerBoxesCommand,
};

/** What package.json says, which the sources never go without: it makes them modules. */
const { version: VERSION } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};

/** Knows the command that is called, or all of them when that is none. */
export async function programFor(called: string): Promise<Command> {
  const program = new Command("qkm")
    .description("Key manager for a trusted node of a quantum key distribution network.")
    .version(VERSION, "-V, --version", "tell the version")
    .showHelpAfterError("(qkm --help tells the commands)")
    .exitOverride();
  const names = Object.hasOwn(COMMANDS, called) ? [called] : Object.keys(COMMANDS);
  for (const name of names) (await COMMANDS[name]?.())?.(program);
  return program;
}
