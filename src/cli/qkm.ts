// The command `qkm`: what there is to do, and how it ends when something is wrong.

import { Command, CommanderError } from "commander";
import { AkRefusal } from "../ak/calls.ts";
import { ConfigError } from "../config.ts";
import { Fault } from "../core/fault.ts";
import { registerAppCommand } from "./app/command.ts";
import { registerBenchCommand } from "./bench.ts";
import { CommandError, EXIT, type ExitCode } from "./exit.ts";
import { registerInitCommand } from "./init.ts";
import { registerModuleCommand } from "./module.ts";
import { registerRunCommands } from "./run.ts";
import { registerSelftestCommand } from "./selftest.ts";
import { registerStatusCommand } from "./status.ts";
import { registerUpCommand } from "./up.ts";
import { registerZeroiseCommand } from "./zeroise.ts";

const program = new Command("qkm")
  .description("Key manager for a trusted node of a quantum key distribution network.")
  .showHelpAfterError("(qkm --help tells the commands)")
  .exitOverride();

registerUpCommand(program);
registerInitCommand(program);
registerRunCommands(program);
registerAppCommand(program);
registerStatusCommand(program);
registerSelftestCommand(program);
registerZeroiseCommand(program);
registerBenchCommand(program);
registerModuleCommand(program);

function report(thrown: unknown): ExitCode {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (thrown instanceof ConfigError) return say(thrown.message, EXIT.config);
  if (thrown instanceof CommandError) return say(`qkm: ${thrown.message}`, thrown.exitCode);
  if (thrown instanceof AkRefusal) return say(`qkm: ${thrown.message}`, EXIT.failed);
  if (thrown instanceof Fault) return say(`qkm: ${thrown.response}`, EXIT.failed);
  return say(`qkm: a defect: ${thrown instanceof Error ? thrown.stack : String(thrown)}`, EXIT.internal);
}

function say(text: string, code: ExitCode): ExitCode {
  process.stderr.write(`${text}\n`);
  return code;
}

/** Whoever started us with QKM_PARENT_PIPE=1 holds the other end of our stdin: when that is gone, we end. */
function endWithParent(): void {
  if (process.env.QKM_PARENT_PIPE !== "1") return;
  process.stdin.on("end", () => process.kill(process.pid, "SIGTERM")).resume();
}

try {
  endWithParent();
  await program.parseAsync();
} catch (thrown) {
  process.exitCode = report(thrown);
}
process.stdin.destroy();
