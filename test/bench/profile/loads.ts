// The loads under which a KM is profiled: each puts a network to work and tells which KM, and when.

import { join } from "node:path";
import type { Bench } from "../bench.ts";
import type { Pattern } from "../duel.ts";
import { BATCH, BATCHED, PIPELINED, someIds } from "../figures/ak.ts";
import { PATTERN as ENC_KEYS } from "../figures/etsi014.ts";
import { intake, KEEP_BLOCKS } from "../figures/intake.ts";
import { lineWithBlocks, transit } from "../figures/relay.ts";
import { bringBlocks, FilledNetwork, relay } from "../filled.ts";
import { askOnce, Clients, type Target } from "../load.ts";
import { type AppName, BenchNetwork } from "../network.ts";
import { encKeys, keyRequest, keyRequestById, SeenKeys, type Wish } from "../requests.ts";
import type { Window } from "./calls.ts";

/** Node's flags that make it write a profile when it ends. */
export type Flags = readonly string[];
/** Resolves when the KM has ended. */
export type Load = (bench: Bench, flags: Flags) => Promise<Window>;

const HEAT_MS = 2_000;
const MEASURE_MS = 4_000;
/** More than are fetched in that time. */
const FETCHES = 400_000;

const now = (): number => Number(process.hrtime.bigint() / 1_000n);

interface Asked {
  readonly app: AppName;
  readonly door: "ak" | "etsi014";
  readonly pattern: Pick<Pattern, "connections" | "depth">;
  readonly wish: (filled: FilledNetwork) => Promise<Wish>;
}

/** Requests to a KM that has a million keys in stock. */
const asked =
  ({ app, door, pattern, wish }: Asked): Load =>
  async (bench, flags) => {
    await using filled = await FilledNetwork.fill(bench);
    const { network } = filled;
    const made = await wish(filled);
    const km = network.km(app);
    await km.stop();
    await km.start(undefined, flags);
    await network.until("the KMs are synchronised again", ({ synchronised }) => synchronised);
    const target = { port: km.plan.ports[door], tls: network.client(app) };
    const window = await load(target, made, pattern);
    await km.stop();
    return window;
  };

async function load(
  target: Target,
  wish: Wish,
  { connections, depth }: Pick<Pattern, "connections" | "depth">,
): Promise<Window> {
  const answer = await askOnce(target, wish.request, wish.isWhole);
  using clients = await Clients.connect(target, connections, depth * wish.requestBytes);
  const shape = { ...wish, answerBytes: answer.length };
  const began = now();
  await clients.run({ shape, depth, warmMs: HEAT_MS, measureMs: MEASURE_MS, cpu: () => 0, mainCpu: () => 0 });
  return { from: began + HEAT_MS * 1_000, to: began + (HEAT_MS + MEASURE_MS) * 1_000 };
}

const supply = (count: number) => async (): Promise<Wish> => keyRequest(count, new SeenKeys());

export const LOADS = {
  supply: asked({ app: "a", door: "ak", pattern: { connections: 32, depth: 1 }, wish: supply(1) }),
  pipelined: asked({ app: "a", door: "ak", pattern: PIPELINED, wish: supply(1) }),
  batch: asked({ app: "a", door: "ak", pattern: BATCHED, wish: supply(BATCH) }),
  fetch: asked({
    app: "b",
    door: "ak",
    pattern: PIPELINED,
    wish: async (filled) => keyRequestById(await someIds(filled, FETCHES)),
  }),
  etsi014: asked({ app: "a", door: "etsi014", pattern: ENC_KEYS, wish: async () => encKeys(new SeenKeys()) }),
  intake: async (bench, flags) => {
    await using network = await BenchNetwork.provision(join(bench.dir, "intake"), []);
    await network.a.start({ stock: 1, keepBlocks: KEEP_BLOCKS }, flags);
    return await during(network, () => intake(network));
  },
  relay: async (bench, flags) => {
    await using network = await BenchNetwork.provision(join(bench.dir, "relay"), []);
    await bringBlocks(bench, network);
    return await afterStart(network, () => relay(network, flags));
  },
  transit: async (bench, flags) => {
    await using network = await lineWithBlocks(bench);
    return await afterStart(network, () => transit(network, flags));
  },
} as const satisfies Record<string, Load>;

async function during(network: BenchNetwork, work: () => Promise<unknown>): Promise<Window> {
  const from = now();
  await work();
  const to = now();
  await network.stop();
  return { from, to };
}

/** For work that begins with the start of the KMs. */
async function afterStart(network: BenchNetwork, work: () => Promise<unknown>): Promise<Window> {
  let readyMs = 0;
  const { from, to } = await during(network, async () => {
    await work();
    readyMs = Math.max(...network.kms.map((km) => km.program.readyMs));
  });
  return { from: from + readyMs * 1_000, to };
}
