// The command `qkm`: what there is to do, and how it ends when something is wrong.

import { CommanderError } from "commander";
import { fileFailure } from "../node/start-failure.ts";
import { CommandError, EXIT, type ExitCode } from "./common/exit.ts";
import { programFor } from "./common/program.ts";

function report(thrown: unknown): ExitCode {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (!(thrown instanceof Error)) return say(`qkm: a defect: ${thrown}`, EXIT.internal);
  if (thrown.name === "ConfigError") return say(thrown.message, EXIT.config);
  if (thrown instanceof CommandError) return say(`qkm: ${thrown.message}`, thrown.exitCode);
  const aboutFile = fileFailure(thrown);
  if (aboutFile !== undefined) return say(`qkm: ${aboutFile}`, EXIT.unavailable);
  if (FORESEEN.includes(thrown.name)) return say(`qkm: ${thrown.message}`, EXIT.failed);
  return say(`qkm: a defect: ${thrown.stack}`, EXIT.internal);
}

/** Errors that are thrown on purpose, where a defect is a TypeError or the like. By name, so that their files need not be loaded. */
const FORESEEN: readonly string[] = ["Error", "Fault", "AkRefusal", "AkUnanswered", "Refusal"];

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
  const program = await programFor(process.argv[2] ?? "");
  await program.parseAsync();
} catch (thrown) {
  process.exitCode = report(thrown);
}
process.stdin.destroy();
