// The network that keys are supplied from: a million keys in stock at each KM, and how they come there.

import type { Bench } from "./bench.ts";
import { answers } from "./load.ts";
import { BenchNetwork } from "./network.ts";
import { keyRequest, keysOf, SeenKeys } from "./requests.ts";

/** 1,000 KMA-keys of 32 KiB hold 1,021,000 keys of 256 bits. */
export const STOCK = 1_000;
/** KMA-keys that a round of a figure finds before a relay begins: more than the hungriest takes. */
const ROUND_STOCK = 400;
const LOW = STOCK - ROUND_STOCK;
/** KMA-keys that were given up on the way to the high mark are made up for only below the low one. */
const FULL = STOCK - 100;
/** Keys that are asked for at a time when the stock is drained. */
const DRAINED = 50_000;
const BATCH = 128;
const KEEP_BLOCKS = 3 * STOCK;
/** Which two KMs and the modules take on two cores. */
const FILL_BITS_PER_S = 45_000_000;
const POLL_MS = 20;
const SETTINGS = { stock: STOCK, keepBlocks: KEEP_BLOCKS } as const;

export class FilledNetwork implements AsyncDisposable {
  readonly network: BenchNetwork;
  /** CachedBlock bytes of a KM that has nothing yet. */
  readonly emptyBytes: number;
  /** KMA-keys a second that became ready at both KMs together, while they had nothing else to do. */
  readonly relaysPerSecond: number;
  readonly #bench: Bench;

  private constructor(
    bench: Bench,
    network: BenchNetwork,
    seen: { readonly emptyBytes: number; readonly relaysPerSecond: number },
  ) {
    this.#bench = bench;
    this.network = network;
    this.emptyBytes = seen.emptyBytes;
    this.relaysPerSecond = seen.relaysPerSecond;
  }

  /** First the link blocks, with hardly any relay; then, with the modules off, relay alone. */
  static async fill(bench: Bench): Promise<FilledNetwork> {
    const network = await BenchNetwork.provision(`${bench.dir}/filled`, bench.nodeFlags);
    try {
      const emptyBytes = await bringBlocks(bench, network);
      bench.say("relaying them as KMA-keys, both ways");
      const relaysPerSecond = await relay(network);
      return new FilledNetwork(bench, network, { emptyBytes, relaysPerSecond });
    } catch (thrown) {
      await network[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  full(): Promise<void> {
    return this.ready(FULL - LOW);
  }

  /** Sees to it that km-a can supply so many KMA-keys, at most ROUND_STOCK less a few, with no relay under way before they are gone. */
  async ready(kmaKeys: number): Promise<void> {
    let left = await this.#stock();
    if (left >= LOW + kmaKeys) return;
    this.#bench.say(`filling the stock again, of which ${left} KMA-keys are left`);
    for (; left >= LOW; left = await this.#stock()) await this.drain(DRAINED);
    await this.network.modulesOn(FILL_BITS_PER_S);
    await this.network.until("the stock is full again", ({ stock }) => stock >= FULL);
    await this.network.modulesOff();
  }

  /** Has km-a supply so many keys. */
  async drain(keys: number): Promise<void> {
    const { network } = this;
    const target = { port: network.a.plan.ports.ak, tls: network.client("a") };
    const { request, isWhole } = keyRequest(BATCH, new SeenKeys());
    let had = 0;
    for await (const answer of answers(target, request, isWhole)) {
      had += keysOf(answer).length;
      if (had >= keys) return;
    }
  }

  /** Both KMs again, with a stock that is filled as soon as a KMA-key is gone, or only when it is low. */
  async restart(filling: "always" | "when low"): Promise<void> {
    await this.network.stop();
    await this.network.start(filling === "always" ? SETTINGS : { ...SETTINGS, low: LOW });
    await this.network.until("the KMs are synchronised again", ({ synchronised }) => synchronised);
  }

  async #stock(): Promise<number> {
    const [a] = await this.network.amounts();
    return a?.stock ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.network[Symbol.asyncDispose]();
  }
}

/** Link blocks for a million keys at each end of each link, with hardly any relay; returns what a KM weighed before. */
export async function bringBlocks(bench: Bench, network: BenchNetwork): Promise<number> {
  bench.say("bringing link blocks for a million keys to each KM");
  await network.start({ stock: 1, keepBlocks: KEEP_BLOCKS });
  const emptyBytes = network.a.program.residentBytes();
  await network.modulesOn(FILL_BITS_PER_S);
  await network.until("there are link blocks", ({ usable }) => usable >= STOCK);
  await network.modulesOff();
  await network.stop();
  return emptyBytes;
}

/** Starts both KMs with blocks and a stock to fill, and measures until it is full. `flags`: for the first KM. */
export async function relay(network: BenchNetwork, flags: readonly string[] = []): Promise<number> {
  await Promise.all(network.kms.map((km) => km.start({ ...SETTINGS, low: LOW }, km === network.a ? flags : [])));
  const ready = async () => (await network.a.counted("kma_keys_ready")) + (await network.b.counted("kma_keys_ready"));
  let first: { readonly at: number; readonly keys: number } | undefined;
  let last = { at: 0, keys: 0 };
  while (last.keys < 2 * FULL) {
    const keys = await ready();
    last = { at: performance.now(), keys };
    if (keys > 0) first ??= last;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  await network.until("the stock is full", ({ stock, held }) => stock >= FULL && held >= FULL);
  return first === undefined ? Number.NaN : (last.keys - first.keys) / ((last.at - first.at) / 1000);
}
