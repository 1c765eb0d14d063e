// `qkm audit trace`: where every byte of a link block or of a KMA-key went.

import { type Command, InvalidArgumentError } from "commander";
import type { AuditLine } from "../../control/audit/format.ts";
import { bytesBy, type KmaName, traceBlock, traceKmaKey } from "../../control/audit/trace.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { auditText } from "./lines.ts";
import { folderOf } from "./show.ts";

interface TraceOptions {
  readonly dir?: string;
  readonly block?: readonly [string, number, number];
  readonly kma?: readonly [string, number];
}

/** Adds `qkm audit trace`. */
export function registerTrace(audit: Command): void {
  audit
    .command("trace")
    .argument("[node.toml]", "the node's configuration")
    .summary("show where every byte of a link block or of a KMA-key went")
    .option("--dir <folder>", "a folder of segments instead")
    .option("--block <link:run:sequence>", "a link block, such as ab:1:17", blockOf)
    .option("--kma <km:serial>", "a KMA-key shared with another KM, such as km-b:17", kmaOf)
    .addHelpText("after", "\nExample:\n  qkm audit trace /etc/qkm/node.toml --block ab:1:17")
    .action(trace);
}

function blockOf(text: string): TraceOptions["block"] {
  // IDs may have colons: the two numbers are the last.
  const [, link, run, sequence] = /^(.+):(\d{1,15}):(\d{1,15})$/.exec(text) ?? [];
  if (link === undefined) throw new InvalidArgumentError("a block is written link:run:sequence.");
  return [link, Number(run), Number(sequence)];
}

function kmaOf(text: string): TraceOptions["kma"] {
  const [, km, serial] = /^(.+):(\d{1,15})$/.exec(text) ?? [];
  if (km === undefined) throw new InvalidArgumentError("a KMA-key is written km:serial.");
  return [km, Number(serial)];
}

function trace(path: string | undefined, { dir, block, kma }: TraceOptions): void {
  if ((block === undefined) === (kma === undefined)) {
    throw new CommandError(EXIT.usage, "say which: --block link:run:sequence, or --kma km:serial.");
  }
  const folder = folderOf(path, dir);
  const keys = kma === undefined ? [] : [{ peer: kma[0], serial: kma[1] }];
  if (block !== undefined) {
    const [link, run, sequence] = block;
    const found = traceBlock(folder, { link, run, sequence });
    print(`link block ${block.join(":")}`, found.lines);
    keys.push(...unique(found.keys));
  }
  for (const key of keys) {
    const { source, destination } = traceKmaKey(folder, key);
    if (source.length > 0) print(`KMA-key ${key.serial} for ${key.peer}`, source);
    if (destination.length > 0) print(`KMA-key ${key.serial} of ${key.peer}`, destination);
    if (source.length + destination.length === 0) print(`KMA-key ${key.serial} with ${key.peer}`, []);
  }
}

const unique = (keys: readonly KmaName[]): KmaName[] => [
  ...new Map(keys.map((key) => [`${key.peer} ${key.serial}`, key])).values(),
];

function print(what: string, lines: readonly AuditLine[]): void {
  const sums = [...bytesBy(lines)].map(([fate, bytes]) => `${bytes} bytes ${fate}`);
  const told = lines.length === 0 ? ["  nothing is known of it"] : lines.map((line) => `  ${auditText(line)}`);
  process.stdout.write(`${[`${what}:`, ...told, ...sums.map((sum) => `  = ${sum}`)].join("\n")}\n`);
}
