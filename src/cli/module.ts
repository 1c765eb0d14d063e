// `qkm module`: both modules of one link, simulated in a process of their own, or one of them on a USB HID gadget.

import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { pino } from "pino";
import { startAlone } from "../../drivers/simulator/alone.ts";
import { NO_FAULTS } from "../../drivers/simulator/options.ts";
import { type SimulatorPorts, startSimulator } from "../../drivers/simulator/simulator.ts";
import { systemClock, systemRandom } from "../control/system.ts";
import { linkId } from "../core/ids.ts";
import type { Secret } from "../core/memory/secret.ts";
import { parsePairingKey } from "../kq/pairing.ts";
import { CommandError, EXIT } from "./common/exit.ts";

interface Flags {
  readonly link: string;
  readonly a?: string;
  readonly b?: string;
  readonly hidGadget?: string;
  readonly role: "tx" | "rx";
  readonly run: number;
  readonly sinceS?: number;
  readonly blockBytes: number;
  readonly rateBitsPerS: number;
  readonly bufferBlocks: number;
  readonly qber: number;
  readonly jitter: number;
  readonly loseBlocks: number;
  readonly disagree: number;
  readonly flipBytes: number;
  readonly dropBytes: number;
  readonly stallEveryS: number;
  readonly stallForS: number;
  readonly restartEveryS: number;
  readonly seed?: string;
  readonly runFile?: string;
  readonly pairingKeyFile?: string;
}

const EXAMPLE = `
Example:
  qkm module --link ab --a /run/qkm/ab-a --b /run/qkm/ab-b --rate-bits-per-s 1000000 --run-file /var/lib/qkm/ab.run

  One KM then has  port = "/run/qkm/ab-a",  the other  port = "/run/qkm/ab-b".  docs/kq.md explains the faults.

  On the USB HID gadget of two machines, each of which is plugged into its KM:
  qkm module --link ab --hid-gadget /dev/hidg0 --role tx --seed SECRET --since-s 1760000000
  qkm module --link ab --hid-gadget /dev/hidg0 --role rx --seed SECRET --since-s 1760000000`;

/** Adds `module` to the commands. */
export function registerModuleCommand(program: Command): void {
  program
    .command("module")
    .description(
      "simulate the QKD modules of one link, on pseudo-terminals or a USB HID gadget, until SIGTERM or SIGINT",
    )
    .requiredOption("--link <id>", "the link's ID")
    .option("--a <path>", "where the Tx module's port appears")
    .option("--b <path>", "where the Rx module's port appears")
    .option("--hid-gadget <path>", "instead: one module, on a gadget's character device; needs --seed")
    .addOption(new Option("--role <role>", "which module that is").choices(["tx", "rx"]).default("tx"))
    .option("--run <n>", "number of that module's start, the same at the other module", whole, 1)
    .option("--since-s <s>", "when both began, in seconds since 1970: block by block they keep to the clock", whole)
    .option("--block-bytes <n>", "size of a link block, 4096 to 32768, a power of two", blockSize, 32_768)
    .option("--rate-bits-per-s <n>", "secret key rate", positive, 1_000_000)
    .option("--buffer-blocks <n>", "blocks that each module holds for its KM", whole, 256)
    .option("--qber <x>", "quantum bit error rate that the modules report", probability, 0.02)
    .option("--jitter <x>", "part of the time between two blocks by which it varies", probability, NO_FAULTS.jitter)
    .option("--lose-blocks <p>", "probability that a block is missing at one end", probability, NO_FAULTS.loseBlocks)
    .option("--disagree <p>", "probability that a block differs between the ends", probability, NO_FAULTS.disagree)
    .option("--flip-bytes <p>", "probability that a byte on a line has a wrong bit", probability, NO_FAULTS.flipBytes)
    .option("--drop-bytes <p>", "probability that a byte on a line is missing", probability, NO_FAULTS.dropBytes)
    .option("--stall-every-s <s>", "both modules freeze every so often", seconds, 0)
    .option("--stall-for-s <s>", "how long they freeze", seconds, 1)
    .option("--restart-every-s <s>", "both modules start again, with a new run, every so often", seconds, 0)
    .option("--seed <text>", "make key and faults repeatable: for tests, never for real use")
    .option("--run-file <path>", "keep the number of the last start here; without it a run is the time")
    .option("--pairing-key-file <path>", "32 bytes, or 64 hexadecimal digits: protect the lines")
    .addHelpText("after", EXAMPLE)
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  using signals = signalled();
  const log = pino({ base: { part: "module" } }, pino.destination({ dest: 2, sync: true }));
  using pairingKey = flags.pairingKeyFile === undefined ? undefined : parsePairingKey(readKey(flags.pairingKeyFile));
  const ports = { clock: systemClock, random: systemRandom, log };
  await using parts = new AsyncDisposableStack();
  const failures = await started({ ...flags, pairingKey }, ports, parts);
  process.stdout.write(`module ready ${flags.link}\n`);
  const failure = await Promise.race([...failures, signals.first]);
  if (failure) throw new CommandError(EXIT.unavailable, failure.message, failure);
}

/** What is started belongs to `parts`; gives promises that resolve when it fails. */
async function started(
  flags: Flags & { readonly pairingKey: Secret | undefined },
  ports: SimulatorPorts,
  parts: AsyncDisposableStack,
): Promise<Promise<Error>[]> {
  const { a, b, hidGadget: gadget, role, run, sinceS, seed, pairingKey } = flags;
  const sinceMs = sinceS === undefined ? undefined : sinceS * 1_000;
  const options = { ...optionsOf(flags), pairingKey };
  if (gadget !== undefined && a === undefined && b === undefined) {
    if (seed === undefined)
      throw new CommandError(EXIT.usage, "--hid-gadget needs --seed, the same at the other module");
    if (sinceMs !== undefined && flags.jitter > 0)
      throw new CommandError(EXIT.usage, "blocks that go by the clock (--since-s) have no --jitter");
    parts.use(startAlone({ ...options, seed, gadget, role, run, sinceMs }, ports));
    return [];
  }
  if (gadget !== undefined || a === undefined || b === undefined) {
    throw new CommandError(EXIT.usage, "name two ports with --a and --b, or one with --hid-gadget");
  }
  const simulator = await startSimulator({ ...options, a, b }, ports).catch((cause: unknown) => {
    throw new CommandError(EXIT.unavailable, cause instanceof Error ? cause.message : String(cause), cause);
  });
  parts.use(simulator);
  return [simulator.failed];
}

function optionsOf(flags: Flags) {
  const { jitter, loseBlocks, disagree, flipBytes, dropBytes } = flags;
  const [stallEveryMs, stallForMs] = [flags.stallEveryS * 1_000, flags.stallForS * 1_000];
  const times = { stallEveryMs, stallForMs, restartEveryMs: flags.restartEveryS * 1_000 };
  const faults = { jitter, loseBlocks, disagree, flipBytes, dropBytes, ...times };
  const { seed, runFile, blockBytes, rateBitsPerS, bufferBlocks, qber } = flags;
  return { link: linkId(flags.link), seed, runFile, blockBytes, rateBitsPerS, bufferBlocks, qber, faults };
}

/** `first` resolves at the first SIGTERM or SIGINT. */
function signalled(): Disposable & { readonly first: Promise<undefined> } {
  const { promise: first, resolve } = Promise.withResolvers<undefined>();
  const heard = () => resolve(undefined);
  process.on("SIGTERM", heard).on("SIGINT", heard);
  return { first, [Symbol.dispose]: () => void process.off("SIGTERM", heard).off("SIGINT", heard) };
}

function readKey(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CommandError(EXIT.unavailable, `the pairing key file ${file} cannot be read`, cause);
  }
}

function numberWhere(what: string, fits: (value: number) => boolean): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (Number.isFinite(value) && fits(value)) return value;
    throw new InvalidArgumentError(`It must be ${what}.`);
  };
}

const whole = numberWhere("a whole number above 0", (value) => Number.isSafeInteger(value) && value > 0);
const positive = numberWhere("a number above 0", (value) => value > 0);
const seconds = numberWhere("seconds, 0 for never", (value) => value >= 0);
const probability = numberWhere("from 0 to 1", (value) => value >= 0 && value <= 1);
const blockSize = numberWhere("4096, 8192, 16384 or 32768", (value) => [4_096, 8_192, 16_384, 32_768].includes(value));
