// Links whose key comes from boxes: two key managers agree on blocks (design 16), whatever goes wrong with boxes and line.

import { expect, test } from "vitest";
import { ask, fetchKeys } from "../support/apps.ts";
import type { TestNode } from "../support/node.ts";
import { Scene } from "./scene.ts";

const sequences = (scene: Scene, node: TestNode, whose: "own" | "copies"): number[] =>
  [...scene.link(node)[whose]()].map(({ sequence }) => sequence);

/** A key of app-a1 that app-b1 fetches. */
async function pass(scene: Scene): Promise<string | undefined> {
  const { a, b } = scene.network;
  const asked = ask(a.km, { app: "app-a1", to: "app-b1" });
  await scene.run(200);
  const [key] = asked.keys;
  if (key === undefined) return undefined;
  const fetched = fetchKeys(b.km, "app-b1", "app-a1", [key.id]);
  await scene.run(200);
  expect(fetched.keys).toEqual([key]);
  return key.id;
}

test("blocks are made at both ends, of either owner, and become keys of applications", async () => {
  const scene = await Scene.up();
  await scene.run(2000);
  const { a, b } = scene.network;
  expect(scene.link(a).usable).toBeGreaterThan(8);
  expect(scene.link(b).usable).toBeGreaterThan(8);
  expect(await pass(scene)).toBeDefined();
  for (const node of [a, b]) expect(node.recorder.count("blocks_duplicate")).toBe(0);
  expect(scene.boxes.taken).toBeLessThanOrEqual(2);
});

test("what one owner has, the other end holds as its copy, in the order of sequences", async () => {
  const scene = await Scene.up({ policy: { stockLow: 0, stockHigh: 0 } });
  await scene.run(1000);
  const { a, b } = scene.network;
  const [owned, copied] = [sequences(scene, a, "own"), sequences(scene, b, "copies")];
  expect(owned.length).toBeGreaterThan(4);
  expect(copied.slice(0, owned.length)).toEqual(owned.slice(0, copied.length));
  expect(owned).toEqual(owned.toSorted((x, y) => x - y));
  expect(owned.every((sequence) => sequence % 2 === 0)).toBe(true);
});

test("no more is taken of the boxes than may be kept", async () => {
  const scene = await Scene.up({ keepBlocks: 6, policy: { stockLow: 0, stockHigh: 0 } });
  await scene.run(5000);
  const taken = scene.boxes.count.offers;
  const { a, b } = scene.network;
  expect([sequences(scene, a, "own").length, sequences(scene, b, "own").length]).toEqual([6, 6]);
  await scene.run(20_000);
  expect(scene.boxes.count.offers).toBe(taken);
  for (const node of [a, b]) expect(node.recorder.count("blocks_ended")).toBe(0);
});

test.each(["KEY_NOT_FOUND", "BOX_UNAVAILABLE"] as const)(
  "while the other end's box has no such key (%s) there is no block and no block is half; then there are again",
  async (fault) => {
    const scene = await Scene.up({ policy: { stockLow: 0, stockHigh: 0 } });
    const { a, b } = scene.network;
    scene.boxes.faults[1].fetch = fault;
    await scene.run(3000);
    expect(sequences(scene, a, "own")).toEqual([]);
    expect(sequences(scene, b, "copies")).toEqual([]);
    expect(a.recorder.count("source_blocks_failed", { fault })).toBeGreaterThan(2);
    scene.boxes.faults[1].fetch = undefined;
    await scene.run(40_000);
    expect(sequences(scene, a, "own").length).toBeGreaterThan(4);
  },
);

test("a box that gives a key again makes no block of it, with an alarm; new keys make blocks again", async () => {
  const scene = await Scene.up({ policy: { stockLow: 0, stockHigh: 0 } });
  const { a, b } = scene.network;
  scene.boxes.faults[0].repeats = true;
  await scene.run(5000);
  expect(sequences(scene, a, "own")).toHaveLength(1);
  expect(sequences(scene, b, "own").length).toBeGreaterThan(4);
  const repeated = a.recorder.count("source_blocks_failed", { fault: "KEY_ID_TAKEN" });
  expect(repeated).toBeGreaterThan(1);
  expect(a.recorder.count("alarms", { alarm: "box_key_repeated" })).toBe(repeated);
  scene.boxes.faults[0].repeats = false;
  await scene.run(60_000);
  expect(sequences(scene, a, "own").length).toBeGreaterThan(4);
  expect(sequences(scene, b, "copies").length).toBeGreaterThan(4);
});

test("a key that the other KM names again for a later block makes none here", async () => {
  const scene = await Scene.up({ keepBlocks: 4, policy: { stockLow: 0, stockHigh: 0 } });
  await scene.run(3000);
  const { a, b, wire } = scene.network;
  const offers = wire.log.flatMap((one) => (one.kind === "tell" && one.from === b.id ? one.entries : []));
  const [first] = offers.filter(({ name }) => name === "qkm_source_block");
  const stored = scene.link(a).stored;
  const later = { ...first, name: "qkm_source_block", sequence: Number(first?.sequence) + 1000 };
  const told = b.parts.peers
    .get(a.id)
    ?.connection?.tell([later], 5000)
    .then(
      () => "success",
      (thrown: unknown) => Reflect.get(Object(thrown), "code"),
    );
  await scene.run(1000);
  expect(await told).toBe("KEY_ID_TAKEN");
  expect([scene.link(a).stored, a.recorder.count("alarms", { alarm: "box_key_repeated" })]).toEqual([stored, 1]);
});

test("a box that has no key is asked less and less often", async () => {
  const scene = await Scene.up();
  for (const faults of scene.boxes.faults) faults.offer = "INSUFFICIENT_KEYS";
  await scene.run(10_000);
  const before = scene.boxes.count.offers;
  await scene.run(120_000);
  expect(scene.boxes.count.offers - before).toBeLessThanOrEqual(2 * 6);
});

test("an answer that is lost leaves a copy that nobody names, and blocks go on behind it", async () => {
  const scene = await Scene.up({ policy: { stockLow: 0, stockHigh: 0 } });
  const { wire, a, b } = scene.network;
  let isOffered = false;
  let lost = 0;
  wire.lose = (crossing) => {
    const { kind, from } = crossing;
    if (kind === "tell" && from === a.id) isOffered = crossing.entries.some(({ name }) => name === "qkm_source_block");
    if (kind !== "told" || from !== b.id || !isOffered || lost > 0) return false;
    lost++;
    return true;
  };
  await scene.run(30_000);
  expect(lost).toBeGreaterThan(0);
  await scene.run(30_000);
  const [owned, copied] = [new Set(sequences(scene, a, "own")), sequences(scene, b, "copies")];
  expect(copied.filter((sequence) => !owned.has(sequence))).toHaveLength(1);
  expect(owned.size).toBeGreaterThan(4);
  expect(await pass(scene)).toBeDefined();
});

test("both may be slow, and the connection may come and go: every block that is used is the same at both ends", async () => {
  const scene = await Scene.up();
  for (const faults of scene.boxes.faults) faults.slowMs = 40;
  scene.network.wire.delayMs = 15;
  for (let round = 0; round < 12; round++) {
    await scene.run(700);
    scene.network.wire.connect();
  }
  await scene.run(3000);
  expect(await pass(scene)).toBeDefined();
  for (const node of [scene.network.a, scene.network.b]) {
    expect(node.recorder.count("blocks_ended", { reason: "mismatch" })).toBe(0);
    expect(node.recorder.lines.filter(({ level }) => level === "error")).toEqual([]);
  }
});

test("after a crash of either end blocks go on behind what was stored", async () => {
  const scene = await Scene.up();
  const { a, b, wire } = scene.network;
  await scene.run(1000);
  for (const node of [a, b]) {
    const before = scene.link(node).highest?.sequence ?? 0;
    node.crash();
    wire.cut();
    await scene.boot(node);
    wire.connect();
    await scene.run(2000);
    expect(scene.link(node).highest?.sequence).toBeGreaterThanOrEqual(before);
    expect(await pass(scene)).toBeDefined();
  }
});

test("keys that differ between the boxes are found out before an application has one", async () => {
  const scene = await Scene.up();
  const { a } = scene.network;
  scene.boxes.faults[1].wrong = true;
  await scene.run(3000);
  expect(await pass(scene)).toBeUndefined();
  expect(a.recorder.count("relays_refused", { fault: "BAD_TAG" }) + a.recorder.count("kma_keys_ended")).toBeGreaterThan(
    0,
  );
});

test("a link that an operator took out of use takes no key of the boxes", async () => {
  const scene = await Scene.up();
  const { a, b } = scene.network;
  await scene.run(500);
  a.km.useLink("ab", false);
  await scene.run(1000);
  const before = scene.boxes.count.offers;
  await scene.run(2000);
  // The other end is not told, and tries now and then.
  expect(scene.boxes.count.offers - before).toBeLessThan(8);
  a.km.useLink("ab", true);
  await scene.run(60_000);
  expect(scene.link(b).usable).toBeGreaterThan(0);
});

test("dispose gives back all memory, also in the midst of an offer", async () => {
  const scene = await Scene.up();
  scene.boxes.faults[0].slowMs = 50;
  await scene.run(420);
  const { a, b } = scene.network;
  const ends = Promise.all([scene.end(a), scene.end(b)]);
  await scene.run(5000);
  await ends;
  expect(scene.boxes.taken).toBe(0);
});

test.each([
  ["that is ours", { sequence: 0 }, "BLOCK_NOT_YOURS"],
  ["far beyond what is known", { sequence: 2 ** 40 + 1 }, "OUT_OF_BOUNDS"],
  ["of a run far beyond", { sequence: 1, run: 99 }, "OUT_OF_BOUNDS"],
  ["without a key", { sequence: 1, key_IDs: [] }, "MALFORMED_REQUEST"],
  ["with a key twice", { sequence: 1, key_IDs: ["x", "x"] }, "MALFORMED_REQUEST"],
  ["of another link", { sequence: 1, link: "xy" }, "EXTENSION_UNSUPPORTED"],
  ["that the box does not know", { sequence: 100_001 }, "KEY_NOT_FOUND"],
])("an offer of a block %s is refused, and nothing is stored", async (_, part, code) => {
  const scene = await Scene.up();
  for (const faults of scene.boxes.faults) faults.offer = "INSUFFICIENT_KEYS";
  await scene.run(500);
  const { a, b } = scene.network;
  const connection = b.parts.peers.get(a.id)?.connection;
  const entry = { name: "qkm_source_block", link: "ab", run: 1, key_IDs: ["nobody-knows"], ...part };
  const told = connection?.tell([entry], 5000).then(
    () => "success",
    (thrown: unknown) => Reflect.get(Object(thrown), "code"),
  );
  await scene.run(1000);
  expect(await told).toBe(code);
  expect(scene.link(a).stored).toBe(0);
  expect(scene.boxes.taken).toBe(0);
});

test("a block that was named before is refused: a replay stores nothing", async () => {
  const scene = await Scene.up({ keepBlocks: 4, policy: { stockLow: 0, stockHigh: 0 } });
  await scene.run(3000);
  const { a, b, wire } = scene.network;
  const offers = wire.log.flatMap((one) => (one.kind === "tell" && one.from === b.id ? one.entries : []));
  const again = offers.find(({ name }) => name === "qkm_source_block");
  if (again === undefined) throw new Error("nothing was offered");
  const told = b.parts.peers
    .get(a.id)
    ?.connection?.tell([again], 5000)
    .then(
      () => "success",
      (thrown: unknown) => Reflect.get(Object(thrown), "code"),
    );
  await scene.run(500);
  expect(await told).toBe("BLOCK_USED");
});
