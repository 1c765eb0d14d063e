// What the key manager tells the audit log (rule 3.7), and what it does when the log takes no more.

import { describe, expect, test, vi } from "vitest";
import { appId } from "../../../src/core/ids.ts";
import { inRuns, parseRuns } from "../../../src/core/text/runs.ts";
import { FIRST_OFFSET, parseKeyId } from "../../../src/keys/common/key-id.ts";
import { ask, fetchKeys, type GivenKey, type Wish } from "../support/apps.ts";
import { exchanged } from "../support/exchange.ts";
import { LINE_3, Mesh } from "../support/mesh.ts";
import { Network } from "../support/network.ts";
import type { TestNode } from "../support/node.ts";
import { Scene } from "../support/session-scene.ts";

const wish = { app: "app-a1", to: "app-b1" } as const;
const BLOCK_BYTES = 4096;

/** `serial:byte` for each byte that the keys take of their KMA-keys. */
function bytesOf(keys: readonly GivenKey[]): string[] {
  return keys.flatMap(({ id }) => {
    const parts = parseKeyId(id);
    if (parts === undefined) throw new Error(`${id} is no key ID`);
    return Array.from({ length: Math.ceil(parts.length / 8) * 8 }, (_, at) => `${parts.serial}:${parts.offset + at}`);
  });
}

/** The same as the log has them. */
const noted = ({ audit }: TestNode, kind: "keys_supplied" | "keys_fetched", fields = {}): string[] =>
  audit
    .of(kind, fields)
    .flatMap(({ fields: { serial }, extent: { first = 0, end = 0 } }) =>
      Array.from({ length: end - first }, (_, at) => `${serial}:${first + at}`),
    );

/** Keys that km-a supplies. */
async function given(network: Network, asking: Wish): Promise<readonly GivenKey[]> {
  const asked = ask(network.a.km, asking);
  await network.run(50);
  expect(asked.outcome).toBe("granted");
  return asked.keys;
}

describe("the log tells of each byte", () => {
  test("which application it was supplied to, for whom, and who fetched it", async () => {
    const network = await Network.up();
    const { a, b } = network;
    const one = await given(network, { ...wish, count: 3 });
    const other = await given(network, { app: "app-a2", to: "app-b2", count: 2, bits: 504 });
    const fetched = fetchKeys(
      b.km,
      "app-b1",
      "app-a1",
      one.map(({ id }) => id),
    );
    await network.run(10);
    expect(fetched.outcome).toBe("granted");
    expect(noted(a, "keys_supplied", { initiator: "app-a1", target: "app-b1", bits: 256, peer: "km-b" })).toEqual(
      bytesOf(one),
    );
    expect(noted(a, "keys_supplied", { initiator: "app-a2", target: "app-b2", bits: 504 })).toEqual(bytesOf(other));
    expect(a.audit.count("keys_supplied")).toBe(5);
    expect(noted(b, "keys_fetched", { initiator: "app-a1", target: "app-b1", peer: "km-a" })).toEqual(bytesOf(one));
    expect(b.audit.count("keys_fetched", { door: "ak" })).toBe(3);
  });

  test("that it reached nobody, when its application had gone", async () => {
    const network = await Network.up();
    const { a } = network;
    await given(network, wish);
    const request = {
      door: "ak",
      app: appId("app-a1"),
      destination: appId("app-b1"),
      count: 4,
      sizeBits: 256,
    } as const;
    const refused = vi.fn();
    a.km.requests.supply(request, { granted: (grant) => grant[Symbol.dispose](), refused });
    expect(refused).not.toHaveBeenCalled();
    expect(a.audit.count("keys_supplied")).toBe(5);
    expect(a.audit.count("keys_undelivered", { app: "app-a1", peer: "km-b", door: "ak" })).toBe(4);
  });

  test("in sessions too: as pushed, as supplied, and what was not acknowledged", async () => {
    const scene = await Scene.open();
    const { a, b } = scene.network;
    const session = await scene.session();
    const asked = await scene.taken(session, 2);
    expect(noted(b, "keys_supplied", { door: "session", peer: "km-a" })).toEqual(bytesOf(asked.keys));
    expect(noted(a, "keys_fetched", { door: "session" })).toEqual(bytesOf(asked.keys));
    expect(a.audit.of("session_opened", { session, role: "initiator", peer: "km-b" })).toHaveLength(1);
    expect(b.audit.of("session_opened", { session, role: "destination", peer: "km-a" })).toHaveLength(1);
    await scene.network.a.stop();
    expect(a.audit.of("session_ended", { session, reason: "stopped", keys: 2 })).toHaveLength(1);
  });
});

describe("the log tells of each block", () => {
  test("that it came, and what became of it: a KMA-key, a copy held, or an end with its reason", async () => {
    const network = await Network.up({ blocks: 8, keepBlocks: 4 });
    network.modules.make(40);
    await network.run(500);
    for (const node of [network.a, network.b]) {
      const { audit, parts } = node;
      const book = parts.links.get("ab");
      const came = audit.places("blocks_stored", { link: "ab", run: 1 });
      expect(came).toEqual(Array.from({ length: 48 }, (_, at) => at));
      const made = audit.of("kma_key_made", { peer: node === network.a ? "km-b" : "km-a" });
      const held = audit.of("kma_key_held");
      const named = [
        ...made.map(({ fields }) => fields.blocks),
        ...held.map(({ fields }) => String(fields.block).slice(5)),
      ];
      const used = named.map((name) => Number(String(name).split(":")[2]));
      const ended = audit.places("blocks_ended", { link: "ab", reason: "overflow" });
      const stored = [...(book?.own() ?? []), ...(book?.copies() ?? [])].map(({ sequence }) => sequence);
      expect([...used, ...ended, ...stored].sort((x, y) => x - y)).toEqual(came);
      expect(ended.length).toBeGreaterThan(10);
    }
  });

  test("which bytes of it were pads for which KMA-key, at both ends of the hop; and who relayed it", async () => {
    const mesh = await Mesh.up({ links: LINE_3, blocks: 48 });
    await exchanged(mesh, "a", "c");
    const key = { link: "bc", source: "km-a", destination: "km-c", serial: 1 };
    const out = mesh.node("b").audit.places("pads_used", { ...key, direction: "out" });
    const into = mesh.node("c").audit.places("pads_used", { ...key, direction: "in" });
    expect(out).toHaveLength(BLOCK_BYTES + 32);
    expect(into).toEqual(out);
    expect(mesh.node("b").audit.places("relay_passed", { from: "km-a", to: "km-c", source: "km-a" })).toContain(1);
    expect(
      mesh.node("a").audit.of("kma_key_made", { peer: "km-c", serial: 1, route: "relayed", via: "km-b" }),
    ).toHaveLength(1);
    expect(mesh.node("c").audit.of("kma_key_held", { peer: "km-a", serial: 1, block: "held:km-a:1" })).toHaveLength(1);
  });
});

describe("the log tells of each KMA-key", () => {
  test("that it was ready, and with how many bytes it ended when it was too old", async () => {
    const network = await Network.up({ policy: { maxAgeMs: 60_000, fetchWindowMs: 60_000 } });
    const { a, b } = network;
    const ready = a.audit.places("kma_keys_ready", { peer: "km-b" });
    expect(ready.length).toBeGreaterThan(0);
    await given(network, wish);
    await network.run(200_000);
    const ended = a.audit.of("kma_key_ended", { peer: "km-b", role: "source", reason: "expired" });
    expect(ended.map(({ fields }) => fields.serial)).toEqual(expect.arrayContaining(ready));
    const lost = ended.find(({ fields }) => fields.serial === ready[0])?.fields.bytes;
    expect(lost).toBe(BLOCK_BYTES - FIRST_OFFSET - 32);
    expect(b.audit.of("kma_key_ended", { peer: "km-a", role: "destination", serial: ready[0] ?? 0 })).toHaveLength(1);
  });

  test("that it was used up", async () => {
    const network = await Network.up();
    const { a } = network;
    const keys = await given(network, { ...wish, bits: (BLOCK_BYTES - FIRST_OFFSET) * 8 });
    const [serial] = bytesOf(keys).map((byte) => Number(byte.split(":")[0]));
    expect(a.audit.places("kma_keys_spent", { peer: "km-b", role: "source" })).toEqual([serial]);
  });

  test("after a kill: what was found, what may have been supplied, what the other end marked as fetched", async () => {
    const network = await Network.up();
    const { a, b } = network;
    const [key] = await given(network, wish);
    fetchKeys(b.km, "app-b1", "app-a1", [key?.id ?? ""]);
    await network.run(10);
    const stored = [...(a.parts.links.get("ab")?.own() ?? []), ...(a.parts.links.get("ab")?.copies() ?? [])];
    const ready =
      a.parts.peers
        .get(b.id)
        ?.stock.keys()
        .map(({ serial }) => serial) ?? [];
    await network.reboot(a);
    await network.reboot(b);
    expect(a.audit.places("blocks_found", { link: "ab" })).toEqual(
      stored.map(({ sequence }) => sequence).sort((x, y) => x - y),
    );
    expect(a.audit.places("kma_keys_found", { peer: "km-b", role: "source" }).sort()).toEqual(ready.sort());
    const { serial = 0, offset = 0, length = 0 } = parseKeyId(key?.id ?? "") ?? {};
    expect(a.audit.of("lost_at_restart", { peer: "km-b", serial })).toHaveLength(1);
    expect(b.audit.places("fetched_found", { peer: "km-a", serial })).toEqual(
      Array.from({ length }, (_, at) => offset + at),
    );
  });
});

describe("a log that takes no more", () => {
  test("stops supply, fetching, relays in both directions and intake; nothing is lost, and all goes on when it can be written", async () => {
    const network = await Network.up({ blocks: 24 });
    const { a, b, modules } = network;
    const [key] = await given(network, wish);
    const waits = ask(a.km, { ...wish, count: 12, bits: 31_000 });
    a.audit.fill(true);
    expect(waits.fault?.code).toBe("AUDIT_UNAVAILABLE");
    const told = a.audit.events.length;
    expect(ask(a.km, wish).fault?.code).toBe("AUDIT_UNAVAILABLE");
    expect(fetchKeys(a.km, "app-a1", "app-b1", [key?.id ?? ""]).fault?.code).toBe("AUDIT_UNAVAILABLE");
    const made = b.audit.of("kma_key_made", { peer: "km-a" }).length;
    modules.make(8);
    ask(b.km, { app: "app-b1", to: "app-a1", count: 12, bits: 31_000 });
    await network.run(3000);
    expect(modules.waiting(0)).toBeGreaterThan(0);
    const since = new Set(a.audit.events.slice(told).map(({ kind }) => kind));
    expect(since.intersection(new Set(["keys_supplied", "keys_fetched", "blocks_stored", "kma_key_held"]))).toEqual(
      new Set(),
    );
    expect(b.audit.of("relay_given_up", { fault: "AUDIT_UNAVAILABLE" }).length).toBeGreaterThan(0);
    expect(b.audit.of("kma_key_made", { peer: "km-a" }).length).toBeLessThan(made + 12);
    a.audit.fill(false);
    await network.run(5000);
    expect(modules.waiting(0)).toBe(0);
    const again = ask(a.km, wish);
    await network.run(1000);
    expect(again.outcome).toBe("granted");
    // key-protocol 6: a relay that was refused then would be taken now if it were repeated, and kept for no one.
    const isAccepted = inRuns(parseRuns(a.parts.peers.get(b.id)?.held.acceptance().window ?? ""));
    const refused = b.audit
      .of("relay_given_up", { fault: "AUDIT_UNAVAILABLE" })
      .map(({ fields }) => Number(fields.serial));
    expect(refused.filter((serial) => !isAccepted(serial))).toEqual([]);
    const fetched = fetchKeys(b.km, "app-b1", "app-a1", [key?.id ?? ""]);
    await network.run(10);
    expect(fetched.keys).toEqual([key]);
  });
});
