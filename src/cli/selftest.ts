// `qkm selftest`: keys supplied by one KM and fetched from another, over both doors, in both directions.

import type { Command } from "commander";
import type { SuppliedKey } from "../ak/client.ts";
import { type AppDoor, callerOf, openAk, openEtsi014 } from "./app/connection.ts";
import { columns, plural } from "./common/columns.ts";
import { CommandError, EXIT } from "./common/exit.ts";
import { type NetworkFile, readNetwork } from "./common/network.ts";
import { withNetwork } from "./common/network-option.ts";

const KEYS = 3;

/** `qkm selftest`: asks for a key at each door of each KM and fetches it at the other end. */
export function registerSelftestCommand(program: Command): void {
  withNetwork(program.command("selftest"))
    .summary("try whether running KMs supply keys")
    .description(
      `Has an application of each KM get ${KEYS} keys with one of every other, over Ak and ETSI GS QKD 014, and compares them.\n` +
        "Prints PASS with the times, or FAIL with the reason (exit code 1). Uses up the keys that it gets.",
    )
    .addHelpText("after", "\nExample:\n  qkm selftest")
    .action(selftest);
}

interface Trial {
  readonly door: "Ak" | "ETSI 014";
  readonly from: string;
  readonly to: string;
}

async function selftest(options: { readonly network: string }): Promise<void> {
  const network = readNetwork(options.network);
  const rows: string[][] = [];
  let failed = 0;
  for (const trial of trialsOf(network)) {
    const { door, from, to } = trial;
    const result = await outcome(network, trial);
    if (!result.startsWith("PASS")) failed += 1;
    rows.push([door, `${from} → ${to}`, result]);
  }
  process.stdout.write(`${columns(rows).join("\n")}\n`);
  if (rows.length === 0) throw new CommandError(EXIT.failed, "the network has no two applications.");
  if (failed > 0)
    throw new CommandError(EXIT.failed, `${failed} of ${plural(rows.length, "trial")} failed; qkm status tells more.`);
  process.stdout.write(`PASS: ${plural(rows.length, "trial")}\n`);
}

/** One application of each of two KMs, and the first two of a KM that has two; both directions, both doors. */
function trialsOf({ kms, apps }: NetworkFile): Trial[] {
  const appsOf = (km: string) => apps.filter((app) => app.km === km).map(({ id }) => id);
  const across = kms.flatMap((a, at) => kms.slice(at + 1).map((b) => [appsOf(a.id)[0], appsOf(b.id)[0]]));
  const pairs = [...across, ...kms.map(({ id }) => appsOf(id))];
  return pairs.flatMap(([a, b]) => {
    if (a === undefined || b === undefined) return [];
    return (["Ak", "ETSI 014"] as const).flatMap((door) => [
      { door, from: a, to: b },
      { door, from: b, to: a },
    ]);
  });
}

async function outcome(network: NetworkFile, { door, from, to }: Trial): Promise<string> {
  try {
    const open = (id: string): Promise<AppDoor> | AppDoor => {
      const caller = callerOf(network, id);
      return door === "Ak" ? openAk(caller) : openEtsi014(caller);
    };
    await using initiator = await open(from);
    await using other = await open(to);
    const begun = performance.now();
    const supplied = await initiator.supply(to, KEYS);
    const between = performance.now();
    const fetched = await other.fetch(
      from,
      supplied.map(({ keyId }) => keyId),
    );
    const end = performance.now();
    if (!sameKeys(supplied, fetched)) return "FAIL  the two applications got different keys";
    return `PASS  supplied in ${(between - begun).toFixed(1)} ms, fetched in ${(end - between).toFixed(1)} ms`;
  } catch (thrown) {
    return `FAIL  ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  }
}

/** Disposes all keys. */
function sameKeys(some: readonly SuppliedKey[], others: readonly SuppliedKey[]): boolean {
  using all = new DisposableStack();
  for (const key of [...some, ...others]) all.use(key);
  if (some.length !== KEYS || others.length !== KEYS) return false;
  return some.every((one, at) => {
    const other = others[at];
    if (other === undefined || other.keyId !== one.keyId) return false;
    return one.key.lend((bytes) => other.key.lend((same) => Buffer.compare(bytes, same) === 0));
  });
}
