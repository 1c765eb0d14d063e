// Supply and fetch by ID of a KM on etcd beside one on LMDB, in the same network and run, in alternating windows.
//
//   node test/bench/members.ts [ROUNDS]        the reference network, km-b as two members on three etcd
//
// Both ends of one link are compared: km-a (LMDB) supplies keys that are fetched at km-b (etcd), and the other way round.

import { type AkClient, appId, type SuppliedKey } from "../../src/ak/client.ts";

import { Stage } from "../cluster/support/stage.ts";
import { eventually } from "../system/support/eventually.ts";
import { processorSecondsOf } from "./program.ts";
import { median } from "./result.ts";

const ROUNDS = Number(process.argv[2] ?? 5);
const WINDOW_MS = 1_500;
/** Requests under way at a time. */
const AT_ONCE = 32;

/** A KM under load, and the application that asks it. */
interface Side {
  readonly store: string;
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

await using stage = await Stage.start({ rateBitsPerS: 4_000_000 });
await eventually("the standby is there", async () => (await stage.report(stage.active.id)).others.length > 0);

async function sideOf(app: string, store: string): Promise<Side> {
  const found = stage.apps.find(({ id }) => id === app);
  if (found === undefined) throw new Error(`no ${app}`);
  const { id } = found.km;
  const pid = (): number => (id === "km-b" ? stage.active.pid : (stage.km(id).pid ?? 0));
  return { store, app, client: await found.connectAk({ timeoutMs: 60_000 }), pid, ids: [] };
}

const sides = [await sideOf("app-a1", "LMDB"), await sideOf("app-b1", "etcd, three voters")] as const;
const figures = new Map<string, Figure[]>();
const add = (what: string, store: string, figure: Figure): void => {
  const name = `${what} | ${store}`;
  figures.set(name, [...(figures.get(name) ?? []), figure]);
};
for (let round = 0; round <= ROUNDS; round++) {
  const [lmdb, etcd] = round % 2 === 0 ? sides : ([sides[1], sides[0]] as const);
  const made = [
    ["supply", lmdb.store, await supply(lmdb, etcd)],
    ["supply", etcd.store, await supply(etcd, lmdb)],
    ["fetch by ID", etcd.store, await fetched(lmdb, etcd)],
    ["fetch by ID", lmdb.store, await fetched(etcd, lmdb)],
  ] as const;
  // The first round warms up.
  if (round > 0) for (const [what, store, figure] of made) add(what, store, figure);
}
const rows = [...figures].map(([name, all]) => {
  const [perS, micros] = [median(all.map((one) => one.perS)), median(all.map((one) => one.microsPerKey))];
  return `| ${name} | ${perS.toFixed(0)} | ${micros.toFixed(0)} |`;
});
const head = "| what | store | keys a second | µs of processor time a key |\n| --- | --- | --- | --- |";
process.stdout.write(`${[head, ...rows].join("\n")}\n`);
for (const { client } of sides) await client[Symbol.asyncDispose]();
