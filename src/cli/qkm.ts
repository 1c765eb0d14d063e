// The command `qkm`: what there is to do, and how it ends when something is wrong.

import { Command, CommanderError } from "commander";
import { ConfigError } from "../config.ts";
import { Fault } from "../core/fault.ts";
import { CommandError, EXIT, type ExitCode } from "./exit.ts";

const program = new Command("qkm")
  .description("Key manager for a trusted node of a quantum key distribution network.")
  .showHelpAfterError("(qkm --help tells the commands)")
  .exitOverride();

function report(thrown: unknown): ExitCode {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (thrown instanceof ConfigError) return say(thrown.message, EXIT.config);
  if (thrown instanceof CommandError) return say(`qkm: ${thrown.message}`, thrown.exitCode);
  if (thrown instanceof Fault) return say(`qkm: ${thrown.response}`, EXIT.failed);
  return say(`qkm: a defect: ${thrown instanceof Error ? thrown.stack : String(thrown)}`, EXIT.internal);
}

function say(text: string, code: ExitCode): ExitCode {
  process.stderr.write(`${text}\n`);
  return code;
}

try {
  await program.parseAsync();
} catch (thrown) {
  process.exitCode = report(thrown);
}
