// Supply and fetch by ID of a KM on etcd beside one on LMDB, in the same network and run, in alternating windows: the reference
// network, km-b as two members on three etcd. Both ends of one link are compared: km-a (LMDB) supplies keys that are fetched at
// km-b (etcd), and the other way round.

import { type AkClient, appId, type SuppliedKey } from "../../../src/ak/client.ts";
import { Stage } from "../../cluster/support/stage.ts";
import { eventually } from "../../system/support/eventually.ts";
import type { Bench } from "../bench.ts";
import { processorSecondsOf } from "../program.ts";

const WINDOW_MS = 1_500;
/** Requests under way at a time. */
const AT_ONCE = 32;

/** A KM under load, and the application that asks it. */
interface Side {
  readonly client: AkClient;
  readonly app: string;
  readonly pid: () => number;
  /** Supplied here, and not yet fetched at the other side. */
  readonly ids: SuppliedKey["keyId"][];
}

interface Figure {
  readonly perS: number;
  readonly microsPerKey: number;
}

/** Does `once` for a while, so many at a time, and counts what the KM's process took for each key. */
async function window(pid: number, once: () => Promise<number>): Promise<Figure> {
  const [began, cpu] = [performance.now(), processorSecondsOf(pid)];
  let keys = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() - began < WINDOW_MS) {
      const more = await once();
      if (more === 0) return;
      keys += more;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const seconds = (performance.now() - began) / 1_000;
  return { perS: keys / seconds, microsPerKey: ((processorSecondsOf(pid) - cpu) / keys) * 1e6 };
}

function supply(from: Side, to: Side): Promise<Figure> {
  return window(from.pid(), async () => {
    const keys = await from.client.getKeys({ destination: appId(to.app), count: 1, sizeBits: 256 });
    for (const one of keys) {
      using key = one;
      from.ids.push(key.keyId);
    }
    return keys.length;
  });
}

/** Fetches at `to` what `from` was supplied. */
function fetched(from: Side, to: Side): Promise<Figure> {
  return window(to.pid(), async () => {
    const keyIds = from.ids.splice(0, 1);
    if (keyIds.length === 0) return 0;
    const keys = await to.client.getKeysById({ initiator: appId(from.app), keyIds });
    for (const key of keys) key[Symbol.dispose]();
    return keys.length;
  });
}

/** What is measured, and what is wanted of its ratio to LMDB's. */
const FIGURES = { supply: { of: "ratio", atLeast: 0.9 }, fetch: undefined } as const;

/** Figures that take the network with members; each has one with `-cpu` beside it. */
export const MEMBERS = ["members-supply", "members-supply-cpu", "members-fetch", "members-fetch-cpu"] as const;

export async function measureMembers(bench: Bench): Promise<void> {
  if (!MEMBERS.some((name) => bench.wants(name))) return;
  bench.say("a KM of two members on three etcd beside one on LMDB");
  await using stage = await Stage.start({ rateBitsPerS: 4_000_000 });
  await eventually("the standby is there", async () => (await stage.report(stage.active.id)).others.length > 0);
  const [lmdb, etcd] = [await sideOf(stage, "app-a1"), await sideOf(stage, "app-b1")];
  const rounds: Record<keyof typeof FIGURES, [Figure[], Figure[]]> = { supply: [[], []], fetch: [[], []] };
  for (let round = 0; round <= bench.rounds; round++) {
    const made = {
      supply: [await supply(etcd, lmdb), await supply(lmdb, etcd)],
      fetch: [await fetched(lmdb, etcd), await fetched(etcd, lmdb)],
    } as const;
    // The first round warms up.
    if (round === 0) continue;
    for (const what of ["supply", "fetch"] as const) {
      rounds[what][0].push(made[what][0]);
      rounds[what][1].push(made[what][1]);
    }
  }
  for (const what of ["supply", "fetch"] as const) addFigure(bench, what, rounds[what]);
  for (const { client } of [lmdb, etcd]) await client[Symbol.asyncDispose]();
}

function addFigure(bench: Bench, what: keyof typeof FIGURES, [etcd, lmdb]: readonly [Figure[], Figure[]]): void {
  const sides = (value: (one: Figure) => number) => ({
    measured: { of: `${what} on etcd, 32 at a time`, values: etcd.map(value) },
    reference: { of: `${what} on LMDB`, values: lmdb.map(value) },
  });
  const aim = FIGURES[what];
  const aims = aim === undefined ? {} : { aims: [aim] };
  bench.add({ name: `members-${what}`, unit: "keys/s", ...sides(({ perS }) => perS), ...aims });
  bench.add({ name: `members-${what}-cpu`, unit: "µs", ...sides(({ microsPerKey }) => microsPerKey) });
}

async function sideOf(stage: Stage, app: string): Promise<Side> {
  const found = stage.apps.find(({ id }) => id === app);
  if (found === undefined) throw new Error(`no ${app}`);
  const { id } = found.km;
  const pid = (): number => (id === "km-b" ? stage.active.pid : (stage.km(id).pid ?? 0));
  return { app, client: await found.connectAk({ timeoutMs: 60_000 }), pid, ids: [] };
}
