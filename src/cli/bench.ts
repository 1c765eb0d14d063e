// `qkm bench`: how many keys a second a running network supplies and fetches over Ak.

import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { SuppliedKey } from "../ak/client.ts";
import { type AppDoor, callerOf, openAk } from "./app/connection.ts";
import { columns, count } from "./common/columns.ts";
import { readNetwork, writeAtomically } from "./common/network.ts";
import { withNetwork } from "./common/network-option.ts";

const PERCENTILES = [50, 99] as const;

interface BenchOptions {
  readonly from: string;
  readonly to: string;
  readonly seconds: number;
  readonly connections: number;
  readonly number: number;
  readonly json?: string;
  readonly network: string;
}

/** Adds `qkm bench`. */
export function registerBenchCommand(program: Command): void {
  withNetwork(program.command("bench"))
    .summary("measure a running network")
    .description(
      "Has one application get keys and another fetch them by ID, over Ak, as fast as they are answered. A link's key rate\n" +
        "bounds what lasts: what was in stock goes first.",
    )
    .option("--from <app>", "who is supplied", "app-a1")
    .option("--to <app>", "who fetches", "app-b1")
    .option("--seconds <n>", "how long", whole, 5)
    .option("--connections <n>", "connections of each application, one request at a time on each", whole, 4)
    .option("--number <n>", "keys per request", whole, 1)
    .option("--json <file>", "write the numbers there too")
    .addHelpText("after", "\nExample:\n  qkm bench --from app-a1 --to app-b1 --seconds 5 --number 16 --json bench.json")
    .action(bench);
}

function whole(text: string): number {
  if (/^\d{1,6}$/.test(text) && Number(text) > 0) return Number(text);
  throw new InvalidArgumentError("It must be a whole number above 0.");
}

/** Milliseconds that each request took. */
interface Times {
  readonly supply: number[];
  readonly fetch: number[];
}

async function bench(options: BenchOptions): Promise<void> {
  const network = readNetwork(options.network);
  const [source, sink] = [callerOf(network, options.from), callerOf(network, options.to)];
  const times: Times = { supply: [], fetch: [] };
  const begun = performance.now();
  const deadline = begun + options.seconds * 1_000;
  await Promise.all(
    Array.from({ length: options.connections }, async () => {
      await using initiator = await openAk(source);
      await using other = await openAk(sink);
      while (performance.now() < deadline) await round(initiator, other, { options, times });
    }),
  );
  const seconds = (performance.now() - begun) / 1_000;
  const keysPerS = Math.round((times.fetch.length * options.number) / seconds);
  const result = {
    ...options,
    seconds,
    keysPerS,
    supplyMs: percentilesOf(times.supply),
    fetchMs: percentilesOf(times.fetch),
  };
  if (options.json !== undefined) writeAtomically(options.json, result);
  const ms = (of: Readonly<Record<string, number>>) => PERCENTILES.map((part) => `${of[`p${part}`]?.toFixed(2)} ms`);
  const rows = [
    ["", "p50", "p99"],
    ["supply", ...ms(result.supplyMs)],
    ["fetch", ...ms(result.fetchMs)],
  ];
  process.stdout.write(
    `${count(keysPerS)} keys/s supplied and fetched, ${options.number} a request\n${columns(rows).join("\n")}\n`,
  );
}

/** Keys for the one, the same by their IDs for the other. */
async function round(initiator: AppDoor, other: AppDoor, { options, times }: { options: BenchOptions; times: Times }) {
  const begun = performance.now();
  const supplied = await initiator.supply(options.to, options.number);
  const between = performance.now();
  const ids = disposed(supplied);
  disposed(await other.fetch(options.from, ids));
  times.supply.push(between - begun);
  times.fetch.push(performance.now() - between);
}

/** Zeroes keys and gives their IDs. */
function disposed(keys: readonly SuppliedKey[]): string[] {
  return keys.map((key) => {
    using one = key;
    return one.keyId;
  });
}

function percentilesOf(times: readonly number[]): Readonly<Record<string, number>> {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor((part / 100) * sorted.length))] ?? 0;
  return Object.fromEntries(PERCENTILES.map((part) => [`p${part}`, at(part)]));
}
