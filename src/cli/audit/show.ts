// `qkm audit show`: the events of an audit log, and what comes.

import { watch } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { batchesFrom, segmentsOf } from "../../control/audit/folder.ts";
import { type AuditLine, linesOf } from "../../control/audit/format.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { openConfig } from "../run.ts";
import { auditText } from "./lines.ts";

interface ShowOptions {
  readonly dir?: string;
  readonly since?: Date;
  readonly kind?: string;
  readonly follow?: true;
  readonly json?: true;
}

/** Adds `qkm audit show`. */
export function registerShow(audit: Command): void {
  audit
    .command("show")
    .argument("[node.toml]", "the node's configuration")
    .summary("show the events of an audit log")
    .option("--dir <folder>", "a folder of segments instead")
    .option("--since <time>", "only events from then on, such as 2026-01-31 or 2026-01-31T12:00:00Z", timeOf)
    .option("--kind <kind>", "only events of that kind, see docs/audit.md")
    .option("--follow", "go on with what comes, until Ctrl-C")
    .option("--json", "the lines as they are in the log")
    .addHelpText("after", "\nExample:\n  qkm audit show /etc/qkm/node.toml --since 2026-01-31 --kind keys_supplied")
    .action(show);
}

function timeOf(text: string): Date {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw new InvalidArgumentError("it is no time.");
  return time;
}

/** The folder that a command is about. @throws CommandError */
export function folderOf(path: string | undefined, dir: string | undefined): string {
  if (dir !== undefined) return dir;
  if (path === undefined) throw new CommandError(EXIT.usage, "say which: a node.toml, or --dir with a folder.");
  return openConfig(path).audit.dir;
}

async function show(path: string | undefined, options: ShowOptions): Promise<void> {
  const dir = folderOf(path, options.dir);
  if (segmentsOf(dir).length === 0) throw new CommandError(EXIT.unavailable, `${dir} has no audit log.`);
  let next = print(dir, 0, options);
  if (options.follow === undefined) return;
  await new Promise<void>((resolve, reject) => {
    const watcher = watch(dir, () => {
      next = print(dir, next, options);
    });
    watcher.on("error", reject);
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => {
        watcher.close();
        resolve();
      });
    }
  });
}

/** Prints what is from a seal on; returns the sequence of the next. */
function print(dir: string, from: number, { since, kind, json }: ShowOptions): number {
  const isWanted = (line: AuditLine): boolean =>
    (kind === undefined || line.kind === kind) && (since === undefined || line.at >= since.toISOString());
  let next = from;
  for (const batch of batchesFrom(dir, from)) {
    const lines = linesOf(batch).filter(isWanted);
    process.stdout.write(lines.map((line) => `${json ? JSON.stringify(line) : auditText(line)}\n`).join(""));
    next = batch.seal.seal + 1;
  }
  return next;
}
