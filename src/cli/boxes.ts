// `qkm boxes`: a vendor's key delivery boxes at both ends of one link, simulated in a process of their own.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { BoxPapers, BoxPlace } from "../../drivers/simulator/boxes/box.ts";
import { NO_BOX_FAULTS } from "../../drivers/simulator/boxes/faults.ts";
import { BOX_KINDS, type BoxKind, startBoxPair } from "../../drivers/simulator/boxes/pair.ts";
import { systemClock, systemRandom } from "../control/system.ts";
import { CommandError, EXIT } from "./common/exit.ts";

interface Flags {
  readonly link: string;
  readonly kind: BoxKind;
  readonly a: BoxPlace;
  readonly b: BoxPlace;
  readonly papers: string;
  readonly saeA: string;
  readonly saeB: string;
  readonly rateBitsPerS: number;
  readonly bufferBits: number;
  readonly slowMs: number;
  readonly lateMs: number;
  readonly oneEnd: number;
  readonly wrong: number;
  readonly requestsPerS: number;
}

const EXAMPLE = `
Example:
  qkm boxes --link ab --kind etsi014 --a 127.0.0.1:17120 --b 127.0.0.1:17220 \\
    --papers .qkm/links/ab/boxes --sae-a km-a --sae-b km-b --rate-bits-per-s 1000000

  The folder of --papers has box-a.pem, box-a.key, box-b.pem, box-b.key and, for those who come, trust.pem.`;

/** Adds `boxes` to the commands. */
export function registerBoxesCommand(program: Command): void {
  program
    .command("boxes")
    .description("simulate a vendor's key delivery boxes at both ends of one link, until SIGTERM or SIGINT")
    .requiredOption("--link <id>", "the link's ID")
    .addOption(new Option("--kind <kind>", "what they speak").choices(Object.keys(BOX_KINDS)).default("etsi014"))
    .requiredOption("--a <host:port>", "where the box at the first end listens", place)
    .requiredOption("--b <host:port>", "where the other one does", place)
    .requiredOption("--papers <dir>", "folder with the certificates of both")
    .requiredOption("--sae-a <id>", "what the boxes call the KM at the first end: the CN of its certificate")
    .requiredOption("--sae-b <id>", "the same at the other end")
    .option("--rate-bits-per-s <n>", "secret key rate", number(1), 1_000_000)
    .option("--buffer-bits <n>", "key that waits in the boxes at most", number(1), 4_000_000)
    .option("--slow-ms <n>", "every answer takes so long", number(0), NO_BOX_FAULTS.slowMs)
    .option("--late-ms <n>", "a key is known so much later at the other end", number(0), NO_BOX_FAULTS.lateMs)
    .option("--one-end <p>", "probability that a key is at one end only", probability, NO_BOX_FAULTS.oneEnd)
    .option("--wrong <p>", "probability that a key differs between the ends", probability, NO_BOX_FAULTS.wrong)
    .option("--requests-per-s <n>", "requests that each box takes a second; 0 for any number", number(0), 0)
    .addHelpText("after", EXAMPLE)
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const signalled = Promise.withResolvers<void>();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => signalled.resolve());
  const { link, kind, a, b, papers, saeA, saeB, rateBitsPerS, bufferBits, ...faults } = flags;
  const { slowMs, lateMs, oneEnd, wrong, requestsPerS } = faults;
  const options = {
    ...{ kind, places: { a, b }, saes: { a: saeA, b: saeB }, rate: { rateBitsPerS, bufferBits } },
    papers: { a: papersOf(papers, "box-a"), b: papersOf(papers, "box-b") },
    faults: { slowMs, lateMs, oneEnd, wrong, requestsPerS },
  };
  await using _pair = await startBoxPair(options, { clock: systemClock, chance: systemRandom }).catch(unavailable);
  process.stdout.write(`boxes ready ${link}\n`);
  await signalled.promise;
}

function papersOf(dir: string, name: string): BoxPapers {
  const read = (file: string): string => {
    try {
      return readFileSync(join(dir, file), "utf8");
    } catch (cause) {
      throw new CommandError(EXIT.unavailable, `${join(dir, file)} cannot be read`, cause);
    }
  };
  return { certificate: read(`${name}.pem`), key: read(`${name}.key`), trust: read("trust.pem") };
}

function unavailable(cause: unknown): never {
  throw new CommandError(EXIT.unavailable, cause instanceof Error ? cause.message : String(cause), cause);
}

function place(text: string): BoxPlace {
  const [, host, port] = /^(?:\[?([0-9A-Za-z.:-]+?)\]?):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535) throw new InvalidArgumentError("It must be HOST:PORT.");
  return { host, port: Number(port) };
}

const number =
  (least: number) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} on.`);
  };

function probability(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError("It must be from 0 to 1.");
}
