// Links that are bad, slow, lying or configured differently at their two ends.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LinkReport } from "../../src/control/status.ts";
import { eventually } from "./support/eventually.ts";
import { ask } from "./support/https.ts";
import { akSupply, idsOf, placeOf } from "./support/keys.ts";
import type { Km } from "./support/km.ts";
import { type Network, startNetwork } from "./support/network.ts";
import type { Plan } from "./support/plan.ts";
import { akRefusal } from "./support/refused.ts";
import type { SaeKey } from "./support/sae.ts";

const BLOCK_BYTES = 4096;
const KEYS_A_BLOCK = (BLOCK_BYTES - 96) / 32;
/** A block every 16 s, every other one km-a's: longer than it lets requests wait for two of its own. */
const SLOW_BITS_PER_S = 2_000;
const TIMEOUT_MS = 45_000;

const PLAN: Plan = {
  kms: [
    { id: "km-a", apps: ["app-a1", "app-a2", "app-a3"], config: { supply: { timeout_ms: TIMEOUT_MS } } },
    { id: "km-b", apps: ["app-b1"] },
    { id: "km-c", apps: ["app-c1"] },
  ],
  links: [
    {
      id: "noisy",
      kms: ["km-a", "km-b"],
      module: { rateBitsPerS: 50_000, flipBytes: 0.002, stallEveryS: 2, stallForS: 0.4 },
    },
    { id: "lying", kms: ["km-b", "km-c"], module: { rateBitsPerS: 400_000, disagree: 0.3 } },
    { id: "slow", kms: ["km-a", "km-c"], module: { rateBitsPerS: SLOW_BITS_PER_S } },
  ],
  config: { links: { "*": { block_bytes: BLOCK_BYTES } } },
};

let network: Network;
beforeAll(async () => {
  network = await startNetwork(PLAN);
});
afterAll(() => network?.[Symbol.asyncDispose]());

const linkOf = async (km: Km, id: string): Promise<LinkReport | undefined> =>
  (await km.status()).links.find((link) => link.id === id);

/** Every key supplied is fetched equal. */
async function exchange(from: string, to: string, number: number): Promise<void> {
  const keys = await network.app(from).encKeys(to, { number });
  expect(await network.app(to).decKeys(from, idsOf(keys))).toEqual(keys);
}

describe.concurrent("the network", () => {
  test("a line with a byte in five hundred wrong and many stalls delivers the blocks that both ends hold", {
    timeout: 240_000,
  }, async () => {
    const ends = [network.km("km-a"), network.km("km-b")];
    const counted = (name: string, labels: Readonly<Record<string, string>>) =>
      Promise.all(ends.map(async (km) => (await km.metrics()).sum(name, labels)));
    const link = { link: "noisy" };
    await eventually("both ends have some blocks, and the KMA-keys made of them", async () => {
      const received = await counted("qkm_blocks_received_total", link);
      const ready = await counted("qkm_kma_keys_ready_total", {});
      return received.every((blocks) => blocks >= 3) && ready.every((keys) => keys >= 1);
    });
    await exchange("app-a1", "app-b1", 100);
    await exchange("app-b1", "app-a1", 100);
    for (const faults of await counted("qkm_line_faults_total", link)) expect(faults).toBeGreaterThan(0);
    expect(await counted("qkm_blocks_ended_total", link)).toEqual([0, 0]);
    expect(await counted("qkm_blocks_refused_total", link)).toEqual([0, 0]);
    for (const [km, peer] of [
      ["km-a", "km-b"],
      ["km-b", "km-a"],
    ] as const) {
      const metrics = await network.km(km).metrics();
      expect(metrics.sum("qkm_kma_keys_ended_total", { peer, reason: "mismatch" })).toBe(0);
      expect(metrics.sum("qkm_relays_refused_total", { peer })).toBe(0);
    }
  });

  test("design 3.2: blocks that differ between the ends are counted as mismatch at both, and never supplied from", {
    timeout: 240_000,
  }, async () => {
    const [b, c] = [network.km("km-b"), network.km("km-c")];
    const mismatches = async (km: Km, peer: Km): Promise<number> =>
      (await km.metrics()).sum("qkm_kma_keys_ended_total", { peer: peer.id, role: "source", reason: "mismatch" });
    await eventually("some differed both ways", async () => {
      await exchange("app-b1", "app-c1", 200);
      await exchange("app-c1", "app-b1", 200);
      return (await mismatches(b, c)) >= 2 && (await mismatches(c, b)) >= 2;
    });
    for (const [source, destination] of [
      [b, c],
      [c, b],
    ] as const) {
      await eventually("both count the same", async () => {
        const [atSource, atDestination] = await Promise.all([source.metrics(), destination.metrics()]);
        const peer = { peer: destination.id };
        const given = atSource.sum("qkm_kma_keys_ended_total", { ...peer, role: "source", reason: "mismatch" });
        const refused = atDestination.sum("qkm_blocks_ended_total", { link: "lying", reason: "mismatch" });
        const [sent, ready] = ["sent", "ready"].map((what) => atSource.sum(`qkm_kma_keys_${what}_total`, peer));
        return given > 0 && given === refused && sent === (ready ?? 0) + given;
      });
    }
  });

  test("2 kbit/s in blocks of 4 KiB: apps are served in turn, and what cannot be in time is refused at once with the time", {
    timeout: 240_000,
  }, async () => {
    const [a1, a2, a3] = ["app-a1", "app-a2", "app-a3"].map((id) => network.app(id));
    if (!a1 || !a2 || !a3) throw new Error("apps are missing");
    const km = network.km("km-a");
    await eventually("the slow link's two ends have met", async () => {
      const slow = await linkOf(km, "slow");
      return slow?.agreement === "agreed" && slow.keyRateBitsPerS === SLOW_BITS_PER_S;
    });
    await using ak = await a2.connectAk();
    // All that the first block will have, most of it for the app that came first.
    const greedy = Array.from({ length: 20 }, () => a1.encKeys("app-c1", { number: 5 }));
    await eventually("the first app waits", async () => (await km.metrics()).sum("qkm_requests_waiting") >= 20);
    const modest = [akSupply(ak, "app-c1", 5), akSupply(ak, "app-c1", 5)];
    const late = [a3.encKeys("app-c1", { number: 15 })];
    await eventually("all wait", async () => (await km.metrics()).sum("qkm_requests_waiting") === 23);

    // One more of the app that asks most, and one that needs two blocks.
    const begun = performance.now();
    const refused = await ask(a1, "app-c1/enc_keys");
    const refusal = await akRefusal(akSupply(ak, "app-c1", KEYS_A_BLOCK + 5));
    // Not when what they wait for is late.
    expect(performance.now() - begun).toBeLessThan(TIMEOUT_MS / 2);
    expect([refused.status, refused.message]).toEqual([503, "there is not enough key"]);
    const retryMs = Number(refused.details.retry_after_ms);
    expect(retryMs).toBeGreaterThan(TIMEOUT_MS);
    expect(retryMs).toBeLessThan(100_000);
    expect(refused.headers["retry-after"]).toBe(String(Math.ceil(retryMs / 1000)));
    expect(refusal.response).toBe("INSUFFICIENT_KEYS: there is not enough key");
    expect(refusal.retryAfterMs).toBeGreaterThan(TIMEOUT_MS);

    const offsets = await Promise.all([greedy, modest, late].map(async (asked) => orderOf(await Promise.all(asked))));
    const [ofGreedy = [], ofModest = [], ofLate = []] = offsets;
    // First come, then by turns: the others' first and second requests lie among the first app's first three.
    expect([ofGreedy[0], ofModest[0], ofLate[0]]).toEqual([0, 5, 10].map((keys) => 96 + 32 * keys));
    expect(ofModest[1]).toBeLessThan(ofGreedy[2] ?? 0);
    expect(ofGreedy).toHaveLength(20);
    const used = 5 * 20 + 5 * 2 + 15;
    expect(used).toBe(KEYS_A_BLOCK);
    const [slow] = [await linkOf(km, "slow")];
    expect(slow?.stored).toBeLessThanOrEqual(3);
  });
});

/** Where the first key of each answer lies, in bytes, in the order carved: all are of one KMA-key. */
function orderOf(answers: readonly (readonly SaeKey[])[]): number[] {
  const places = answers.map(([first]) => placeOf(first?.id ?? ""));
  expect(new Set(places.map(({ serial }) => serial)).size).toBe(1);
  return places.map(({ offset }) => offset).sort((one, other) => one - other);
}

describe.concurrent("ends that are configured differently", () => {
  const UNLIKE: Plan = {
    kms: [
      { id: "km-a", apps: ["app-a1"], config: { links: { shares: { share: [2, 1] } } } },
      { id: "km-b", apps: ["app-b1"], config: { links: { sizes: { block_bytes: 8192 } } } },
    ],
    links: [
      { id: "shares", kms: ["km-a", "km-b"], module: { rateBitsPerS: 500_000 } },
      { id: "sizes", kms: ["km-a", "km-b"], module: { rateBitsPerS: 500_000 } },
    ],
    config: { links: { "*": { block_bytes: BLOCK_BYTES } } },
  };

  test("design 4: share or block size that differ: the link is not used, with an alarm in log, status and metrics", {
    timeout: 240_000,
  }, async () => {
    await using unlike = await startNetwork(UNLIKE);
    for (const km of unlike.kms) {
      await eventually("both links are refused", async () =>
        (await km.status()).links.every(({ agreement, stored }) => agreement === "refused" && stored >= 0),
      );
      const alarms = km.logLines().filter(({ alarm }) => alarm === "link_differs");
      expect(new Set(alarms.map(({ link }) => link))).toEqual(new Set(["shares", "sizes"]));
      expect(alarms.find(({ link }) => link === "sizes")).toMatchObject({ level: "error" });
      expect((await km.metrics()).sum("qkm_alarms_total", { alarm: "link_differs" })).toBe(alarms.length);
    }
    const a = unlike.km("km-a");
    await eventually("blocks have come", async () => ((await linkOf(a, "shares"))?.stored ?? 0) > 8);
    const answer = await ask(unlike.app("app-a1"), "app-b1/enc_keys");
    expect(answer.status).toBe(503);
    expect(answer.message).toContain("its two ends are configured differently");
    await using ak = await unlike.app("app-b1").connectAk();
    expect((await akRefusal(akSupply(ak, "app-a1"))).code).toBe("NO_ROUTE");
    const metrics = await a.metrics();
    expect(metrics.sum("qkm_kma_keys_sent_total")).toBe(0);
    expect((await linkOf(a, "shares"))?.usable).toBe(0);
  });
});
