// Key streams between two key managers (ETSI GS QKD 004): opened at both ends, read by index, each chunk the same and once.

import { beforeEach, describe, expect, test } from "vitest";
import type { Streams } from "../../../src/keys/streams/streams.ts";
import { expectOneUse } from "../support/ledger.ts";
import { Network } from "../support/network.ts";
import { seeded } from "../support/seeded.ts";
import { type Chunk, getChunk, openBoth, openStream, streamsOf } from "../support/stream-apps.ts";

let network: Network;
let a: Streams;
let b: Streams;

async function up(wanted: Parameters<typeof Network.up>[0] = {}): Promise<void> {
  network = await Network.up({ blocks: 40, ...wanted });
  a = streamsOf(network.a);
  b = streamsOf(network.b);
}
beforeEach(() => up());

async function got(streams: Streams, app: string, id: string, index: number, ms = 100): Promise<Chunk> {
  const chunk = getChunk(streams, app, id, index);
  await network.run(ms);
  return chunk;
}

/** No byte left twice, nothing is pinned, every request had one answer, none is under way. */
function expectSound(chunks: readonly Chunk[]): void {
  const all = new Map(chunks.flatMap(({ keys }) => keys).map((key) => [key.id, key]));
  expectOneUse([network.a, network.b], [...all.values()]);
  expect(chunks.map(({ answers }) => answers)).toEqual(chunks.map(() => 1));
  for (const { vault } of [network.a, network.b]) expect(vault.leases.blocks).toBe(0);
  for (const streams of [a, b]) expect(streams.sizes.asks).toBe(0);
}

describe("OPEN_CONNECT", () => {
  test("without an ID is answered at once with one; the other joins by it, and both are told", async () => {
    const first = openStream(a, "app-a1", "app-b1");
    await network.run(20);
    expect(first).toMatchObject({ isJoined: false, fault: undefined });
    expect(first.id).toMatch(/^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
    const second = openStream(b, "app-b1", "app-a1", first.id, { chunkBytes: 999 });
    await network.run(20);
    expect(second).toMatchObject({ id: first.id, isJoined: true, qos: first.qos });
    expect(openStream(a, "app-a1", "app-b1", first.id)).toMatchObject({ fault: undefined });
    expect(first.qos).toMatchObject({ chunkBytes: 32, minBps: 0, timeoutMs: 1000, ttlS: 600 });
  });

  test("with an ID that both agreed on waits for the other, or until the time is over", async () => {
    const id = "0".repeat(31).concat("7");
    const first = openStream(a, "app-a1", "app-b1", id);
    await network.run(500);
    expect(first.id).toBe("");
    openStream(b, "app-b1", "app-a1", id);
    await network.run(50);
    expect(first).toMatchObject({ id, isJoined: true });
    const alone = openStream(a, "app-a1", "app-b1", "0".repeat(32).replace("00", "12"));
    await network.run(1100);
    expect(alone).toMatchObject({ isJoined: false, fault: undefined });
  });

  test("at both ends at the same time makes one stream, with one quality of service", async () => {
    network.wire.delayMs = 10;
    const id = "a".repeat(32);
    const opened = [
      openStream(a, "app-a1", "app-b1", id, { chunkBytes: 64 }),
      openStream(b, "app-b1", "app-a1", id, { chunkBytes: 48 }),
    ];
    await network.run(200);
    expect(opened.map(({ isJoined }) => isJoined)).toEqual([true, true]);
    expect([a.streamQos("app-a1" as never, id), b.streamQos("app-b1" as never, id)].map((q) => q.chunkBytes)).toEqual([
      64, 64,
    ]);
  });

  test("is refused when the ID is in use by others, the application unknown, or the other key manager gone", async () => {
    const id = await openBoth(network, a, b);
    const other = openStream(a, "app-a2", "app-b1", id);
    const nobody = openStream(a, "app-a1", "app-x");
    network.wire.cut();
    const gone = openStream(a, "app-a1", "app-b1");
    await network.run(20);
    expect([other, nobody, gone].map(({ fault }) => fault?.code)).toEqual([
      "NOT_AUTHORIZED",
      "UNKNOWN_APPLICATION",
      "PEER_UNAVAILABLE",
    ]);
    expect(a.sizes.streams).toBe(1);
  });

  test("that the links cannot meet is answered with what they can; what was promised counts", async () => {
    for (let block = 0; block < 20; block++) {
      network.modules.make(1);
      await network.run(1000);
    }
    const greedy = openStream(a, "app-a1", "app-b1", undefined, { minBps: 1_000_000 });
    await network.run(20);
    const { minBps = 0 } = greedy.offer ?? {};
    // 4,096 bytes a second and what there was at the start, of which half the blocks are ours, less their front.
    expect(minBps).toBeGreaterThan(10_000);
    expect(minBps).toBeLessThan(40_000);
    const taken = openStream(a, "app-a1", "app-b1", undefined, { minBps: 10_000 });
    await network.run(20);
    expect(taken).toMatchObject({ fault: undefined, qos: { minBps: 10_000 } });
    const again = openStream(a, "app-a1", "app-b1", undefined, { minBps });
    await network.run(20);
    expect(again.offer?.minBps).toBeLessThanOrEqual(minBps - 9_000);
    const large = openStream(a, "app-a1", "app-b1", undefined, { chunkBytes: 1_000_000 });
    await network.run(20);
    expect(large.offer?.chunkBytes).toBe(32_768);
  });
});

describe("GET_KEY", () => {
  test.each([
    ["a", "b"],
    ["b", "a"],
  ])("gives both the same key, whoever asks first: %s", async (first) => {
    const id = await openBoth(network, a, b);
    const ask = (who: string) => (who === "a" ? got(a, "app-a1", id, 5) : got(b, "app-b1", id, 5));
    const one = await ask(first);
    const other = await ask(first === "a" ? "b" : "a");
    expect(one.bytes).toMatch(/^[0-9a-f]{64}$/);
    expect(other.bytes).toBe(one.bytes);
    expect([one.facts?.hops, other.facts?.hops]).toEqual([0, 0]);
    expect(other.facts?.ageMs).toBeGreaterThanOrEqual(one.facts?.ageMs ?? Number.NaN);
    expectSound([one, other]);
  });

  test.each([8, 100, 4088, 8192, 32_768])("of %i bytes at an index", async (chunkBytes) => {
    await up({ blocks: 60 });
    const id = await openBoth(network, a, b, { chunkBytes });
    const one = await got(a, "app-a1", id, 0, 500);
    const other = await got(b, "app-b1", id, 0, 500);
    expect(one.bytes).toHaveLength(2 * chunkBytes);
    expect(other.bytes).toBe(one.bytes);
    expectSound([one, other]);
  });

  test("in any order and at the same time gives each index once to each, and the same to both", async () => {
    await up({ blocks: 80 });
    const id = await openBoth(network, a, b, { timeoutMs: 5000 });
    const dice = seeded(42);
    for (let index = 0; index < 60; index++) {
      network.wire.delayMs = Math.floor(dice.fraction() * 5);
      const ends = [() => getChunk(a, "app-a1", id, index), () => getChunk(b, "app-b1", id, index)];
      if (dice.fraction() < 0.5) ends.reverse();
      const chunks = [ends[0]?.()];
      await network.run(Math.floor(dice.fraction() * 20));
      chunks.push(ends[1]?.());
      await network.run(60);
      const [one, other] = chunks;
      expect(one?.fault ?? other?.fault, `index ${index}`).toBeUndefined();
      expect(one?.bytes).toMatch(/^[0-9a-f]{64}$/);
      expect(other?.bytes).toBe(one?.bytes);
    }
    expectSound([]);
  });

  test("a second time, before the other has joined, and by another application is refused", async () => {
    const first = openStream(a, "app-a1", "app-b1");
    await network.run(20);
    const early = await got(a, "app-a1", first.id, 0);
    openStream(b, "app-b1", "app-a1", first.id);
    await network.run(20);
    const one = await got(a, "app-a1", first.id, 0);
    const twice = await got(a, "app-a1", first.id, 0);
    const stranger = await got(a, "app-a2", first.id, 1);
    const unknown = await got(a, "app-a1", "f".repeat(32), 1);
    expect([early, twice, stranger, unknown].map(({ fault }) => fault?.code)).toEqual([
      "APP_UNAVAILABLE",
      "KEY_NOT_FOUND",
      "SESSION_UNKNOWN",
      "SESSION_UNKNOWN",
    ]);
    expectSound([early, one, twice, stranger, unknown]);
  });

  test("faster than the rate agreed on waits", async () => {
    const id = await openBoth(network, a, b, { maxBps: 256 });
    const chunks = [0, 1, 2].map((index) => getChunk(a, "app-a1", id, index));
    await network.run(100);
    expect(chunks.map(({ answers }) => answers)).toEqual([1, 0, 0]);
    await network.run(2000);
    expect(chunks.map(({ bytes }) => bytes?.length)).toEqual([64, 64, 64]);
  });

  test("that is given up leaves nothing behind; the other may have the index", async () => {
    network.wire.delayMs = 20;
    const id = await openBoth(network, a, b);
    const gone = getChunk(b, "app-b1", id, 3);
    await network.run(30);
    gone.giveUp();
    await network.run(200);
    expect([gone.answers, a.sizes.asks, b.sizes.asks]).toEqual([0, 0, 0]);
    const [one, other] = [getChunk(a, "app-a1", id, 4), getChunk(b, "app-b1", id, 4)];
    await network.run(200);
    expect(other.bytes).toBe(one.bytes);
    for (const { vault } of [network.a, network.b]) expect(vault.leases.blocks).toBe(0);
  });
});

describe("a lost connection between the key managers", () => {
  test("leaves what was named; new indexes are refused until it is back", async () => {
    const id = await openBoth(network, a, b);
    const one = await got(a, "app-a1", id, 0);
    network.wire.cut();
    const other = await got(b, "app-b1", id, 0);
    expect(other.bytes).toBe(one.bytes);
    const refused = await got(b, "app-b1", id, 1);
    expect(refused.fault?.code).toBe("PEER_UNAVAILABLE");
    network.wire.connect();
    await network.run(200);
    const [here, there] = [await got(b, "app-b1", id, 1), await got(a, "app-a1", id, 1)];
    expect(here.bytes).toMatch(/^[0-9a-f]{64}$/);
    expect(there.bytes).toBe(here.bytes);
    expectSound([one, other, refused, here, there]);
  });

  test("in the middle of anything gives no index two keys", async () => {
    await up({ blocks: 80 });
    const id = await openBoth(network, a, b);
    const dice = seeded(7);
    const chunks: Chunk[] = [];
    for (let index = 0; index < 60; index++) {
      network.wire.delayMs = 1 + Math.floor(dice.fraction() * 4);
      const ends = [getChunk(a, "app-a1", id, index), getChunk(b, "app-b1", id, index)];
      await network.run(Math.floor(dice.fraction() * 20));
      network.wire.cut();
      network.wire.connect();
      await network.run(100);
      const again = [getChunk(a, "app-a1", id, index), getChunk(b, "app-b1", id, index)];
      await network.run(100);
      const all = [...ends, ...again].flatMap(({ bytes }) => bytes ?? []);
      expect(new Set(all).size, `index ${index}`).toBeLessThanOrEqual(1);
      chunks.push(...ends, ...again);
      for (const chunk of chunks) chunk.giveUp();
    }
    await network.run(1000);
    expect(chunks.filter(({ bytes }) => bytes !== undefined).length).toBeGreaterThan(60);
    expect([a.sizes.asks, b.sizes.asks]).toEqual([0, 0]);
  });

  test("with a restart ends the streams of that key manager at the other too", async () => {
    const id = await openBoth(network, a, b);
    await network.reboot(network.b);
    b = streamsOf(network.b);
    await network.run(200);
    const chunk = await got(a, "app-a1", id, 0);
    expect(chunk.fault?.code).toBe("SESSION_UNKNOWN");
    expect(a.sizes.streams).toBe(0);
  });
});

describe("what another key manager tells", () => {
  const KEY_ID = "00000000-0700-8c02-8d51-7f2b8f6a0c11";
  const told = (streams: Streams, peer: string, id: string, more: object) => () =>
    streams.told(peer as never, [{ name: "qkm_stream", stream_ID: id, ...more } as never]);
  const named = { event: "named", index: 3, key_IDs: [KEY_ID], age_ms: 0, hops: 0 };

  test("of an index that it was not given, or that is had already, is refused", async () => {
    const id = await openBoth(network, a, b);
    expect(told(a, "km-b", id, named)).toThrow(expect.objectContaining({ code: "KEY_NOT_FOUND" }));
    await got(a, "app-a1", id, 3);
    expect(told(b, "km-a", id, named)).toThrow(expect.objectContaining({ code: "KEY_NOT_FOUND" }));
    await got(b, "app-b1", id, 3);
    expect(told(b, "km-a", id, named)).toThrow(expect.objectContaining({ code: "KEY_NOT_FOUND" }));
    expect(told(a, "km-b", id, { event: "claim", index: 3 })).toThrow(expect.objectContaining({ code: "BUSY" }));
    expect(told(b, "km-a", id, { event: "claim", index: 4 })).toThrow(
      expect.objectContaining({ code: "MALFORMED_REQUEST" }),
    );
  });

  test("of streams that are not its own, and of applications that are at home elsewhere, is refused", async () => {
    const id = await openBoth(network, a, b);
    const qos = a.streamQos("app-a1" as never, id);
    const open = { event: "open", initiator: "app-b1", target: "app-a1", qos };
    for (const [peer, stream, more, code] of [
      ["km-c", id, { event: "closed" }, "SESSION_UNKNOWN"],
      ["km-b", "f".repeat(32), { event: "joined" }, "SESSION_UNKNOWN"],
      ["km-c", "e".repeat(32), open, "UNKNOWN_APPLICATION"],
      ["km-b", "e".repeat(32), { ...open, initiator: "app-a2" }, "UNKNOWN_APPLICATION"],
      ["km-b", id, { ...open, target: "app-a2" }, "NOT_AUTHORIZED"],
    ] as const) {
      expect(told(a, peer, stream, more)).toThrow(expect.objectContaining({ code }));
    }
  });

  test.each([
    [{ event: "nonsense" }],
    [{ event: "claim", index: -1 }],
    [{ event: "claim", index: 2 ** 32 }],
    [{ ...named, key_IDs: [] }],
    [{ ...named, key_IDs: ["short"] }],
    [{ ...named, key_IDs: new Array(65).fill(KEY_ID) }],
    [{ event: "open", initiator: "app-b1", target: "app-a1", qos: { chunkBytes: 0 } }],
    [
      {
        ...{ event: "open", initiator: "app-b1", target: "app-a1" },
        qos: { chunkBytes: 32_769, maxBps: 0, minBps: 0, jitterBps: 0, priority: 0, timeoutMs: 1, ttlS: 1 },
      },
    ],
    [{ event: "closed", stream_ID: "zz" }],
  ])("as %j is malformed", async (more) => {
    const id = await openBoth(network, a, b);
    expect(told(a, "km-b", id, more)).toThrow(expect.objectContaining({ code: "MALFORMED_REQUEST" }));
  });

  test("whose answer is lost leaves one key for the index at most", async () => {
    const id = await openBoth(network, a, b);
    network.wire.lose = ({ kind, from }) => kind === "told" && from === "km-b";
    const lost = await got(a, "app-a1", id, 0, 6000);
    expect(lost.fault).toBeDefined();
    network.wire.lose = () => false;
    const there = await got(b, "app-b1", id, 0);
    const again = await got(a, "app-a1", id, 0);
    expect(there.bytes).toMatch(/^[0-9a-f]{64}$/);
    expect([again.bytes, again.fault?.code]).toEqual([undefined, "KEY_NOT_FOUND"]);
    const [one, other] = [await got(a, "app-a1", id, 1), await got(b, "app-b1", id, 1)];
    expect(other.bytes).toBe(one.bytes);
    expectSound([lost, there, again, one, other]);
  });
});

describe("CLOSE and TTL", () => {
  test("key of the other is kept until it closes too", async () => {
    const id = await openBoth(network, a, b);
    const one = await got(a, "app-a1", id, 0);
    const other = await got(a, "app-a1", id, 1);
    a.closeStream("app-a1" as never, id);
    await network.run(20);
    expect((await got(a, "app-a1", id, 2)).fault?.code).toBe("SESSION_UNKNOWN");
    expect((await got(b, "app-b1", id, 0)).bytes).toBe(one.bytes);
    expect((await got(b, "app-b1", id, 9)).fault?.code).toBe("APP_UNAVAILABLE");
    b.closeStream("app-b1" as never, id);
    await network.run(20);
    expect([a.sizes.streams, b.sizes.streams]).toEqual([0, 0]);
    expect(network.b.recorder.count("keys_undelivered", { app: "app-b1" })).toBe(1);
    expect(other.bytes).toBeDefined();
  });

  test("key that nobody took is erased when its time is over", async () => {
    const id = await openBoth(network, a, b, { ttlS: 10 });
    await got(a, "app-a1", id, 0);
    await network.run(12_000);
    expect((await got(b, "app-b1", id, 0)).fault?.code).toBe("KEY_NOT_FOUND");
    expect(network.b.recorder.count("keys_undelivered", { app: "app-b1" })).toBe(1);
  });

  test("a stream that nobody uses for an hour ends", async () => {
    await openBoth(network, a, b);
    await network.run(3_602_000);
    expect([a.sizes.streams, b.sizes.streams]).toEqual([0, 0]);
  });
});

test("two applications of one key manager have streams too", async () => {
  const first = openStream(a, "app-a1", "app-a2");
  await network.run(20);
  const second = openStream(a, "app-a2", "app-a1", first.id);
  await network.run(20);
  expect(second.isJoined).toBe(true);
  const [one, other] = [await got(a, "app-a2", first.id, 0), await got(a, "app-a1", first.id, 0)];
  expect(one.bytes).toMatch(/^[0-9a-f]{64}$/);
  expect(other.bytes).toBe(one.bytes);
  expectSound([one, other]);
});

test("a key manager without a door for streams says so", async () => {
  const plain = await Network.up({ blocks: 8 });
  const opened = openStream(streamsOf(plain.a), "app-a1", "app-b1");
  await plain.run(20);
  expect(opened.fault?.code).toBe("EXTENSION_UNSUPPORTED");
});
