// Large books, and how much of their keeping is done in one turn of the event loop: counted, not timed (design 9).

import { afterEach, expect, test, vi } from "vitest";
import { kmId } from "../../../src/core/ids.ts";
import { Pace } from "../../../src/core/pace.ts";
import { kmaRow, linkBlock, receivedBlock } from "../../../src/keys/common/rows.ts";
import { emptyBitmap } from "../../../src/keys/fetch/received-key.ts";
import { ReceivedKeys } from "../../../src/keys/fetch/received-keys.ts";
import { ModelVault } from "../../support/model-vault.ts";
import { until } from "../../support/until.ts";
import { Network, POLICY } from "../support/network.ts";
import type { TestNode } from "../support/node.ts";
import { seeded } from "../support/seeded.ts";

const MANY = 1_000;
const LENGTH = 256;
const PEER = kmId("km-b");
/** Of what is ended, by what one costs and what a turn has for it. */
const ENDED_PER_TURN = 64;
const OPENED_PER_TURN = 20;

afterEach(() => vi.restoreAllMocks());

/** Looks at an amount each time the loop has turned, and gives the most that it grew in one turn. */
function watch(node: TestNode, amount: () => number): () => number {
  let [before, most] = [amount(), 0];
  const look = (): void => {
    most = Math.max(most, amount() - before);
    before = amount();
  };
  node.pace = new Pace({
    turn: (then) =>
      void setImmediate(() => {
        look();
        then();
      }),
  });
  return () => {
    look();
    return most;
  };
}

/** A node whose disk has many KMA-keys in both directions, and as many link blocks in excess of what it may keep. */
function laden(policy: Partial<typeof POLICY> = {}): Network {
  const network = new Network({ keepBlocks: 16, policy: { maxHeld: 2 * MANY, ...policy } });
  const { rows, records } = network.a.machine;
  const random = seeded(3);
  const store = (block: string): void => {
    const plain = new Uint8Array(LENGTH);
    random.fill(plain);
    records.set(`block\n${block}`, plain);
    records.set(`key-id\n${block}`, plain.slice(64, 96));
  };
  for (let serial = 1; serial <= MANY; serial++) {
    const common = { peer: PEER, serial, length: LENGTH, bornAt: 0 };
    const [source, held] = [`link:ab:1:${2 * serial}`, receivedBlock(PEER, serial)];
    rows.set(`source\n${kmaRow(PEER, serial)}`, { ...common, block: source, state: "ready", mark: 0, exact: false });
    rows.set(`held\n${kmaRow(PEER, serial)}`, { ...common, block: held, fetched: emptyBitmap(LENGTH), witness: 96 });
    for (const block of [source, held]) store(block);
  }
  const serials = { nextSerial: MANY + 1, proved: MANY, givenUp: "", accepted: MANY, window: "" };
  rows.set(`peer\n${PEER}`, serials);
  return network;
}

function addBlocks({ a }: Network): void {
  const [link] = a.settings.links;
  if (link === undefined) throw new Error("there is no link");
  for (let sequence = 0; sequence < 2 * MANY; sequence += 2) {
    const id = linkBlock(link.id, 9, sequence);
    a.machine.rows.set(`block\n${id}`, { link: link.id, run: 9, sequence, own: true });
    a.machine.records.set(`block\n${id}`, new Uint8Array(4096).fill(sequence | 1));
  }
  a.machine.rows.set(`link\n${link.id}`, { run: 9, highest: 2 * MANY });
}

const ended = ({ recorder }: TestNode, role: string) => recorder.count("kma_keys_ended", { peer: PEER, role });

test("the books are read back a few records a turn", async () => {
  const network = laden();
  const opened = vi.spyOn(ModelVault.prototype, "keyIdKey");
  const most = watch(network.a, () => opened.mock.calls.length);
  await network.a.boot();
  expect(opened).toHaveBeenCalledTimes(2 * MANY);
  expect(network.a.parts.peers.get(PEER)).toMatchObject({ stock: { size: MANY }, held: { size: MANY } });
  expect(most()).toBeLessThanOrEqual(OPENED_PER_TURN);
});

test.each([
  ["source", POLICY.maxAgeMs],
  ["destination", POLICY.maxAgeMs + POLICY.fetchWindowMs],
])("key that has become too old ends a few a turn at its %s", async (role, ms) => {
  const network = laden();
  const { a, clock } = network;
  const most = watch(a, () => ended(a, role));
  await a.boot();
  clock.advance(ms);
  await until(`all at the ${role} have ended`, () => {
    clock.advance(1_000);
    return ended(a, role) === MANY;
  });
  expect(most()).toBeLessThanOrEqual(ENDED_PER_TURN);
});

test("more blocks than may be kept go off the disk a few a turn, and out of the book at once", async () => {
  const network = laden();
  addBlocks(network);
  const { a } = network;
  const most = watch(a, () => a.recorder.count("blocks_ended", { reason: "overflow" }));
  await a.boot();
  expect(a.parts.links.get("ab")?.stored).toBe(16);
  await until("all have ended", () => a.recorder.count("blocks_ended", { reason: "overflow" }) === MANY - 16);
  expect(most()).toBeLessThanOrEqual(ENDED_PER_TURN + 16);
});

test("what the other KM has lost ends a few a turn, and nothing is carved until all of it has", async () => {
  const network = laden();
  const { a, b } = network;
  const most = watch(a, () => ended(a, "source"));
  await a.boot();
  await b.boot();
  network.wire.connect();
  const seen: number[] = [];
  const peer = a.parts.peers.get(PEER);
  await until("the two are synchronised", () => {
    network.clock.advance(1);
    if (peer?.isSynchronised) return true;
    expect(peer?.obstacle()?.code).toBe("PEER_UNAVAILABLE");
    seen.push(ended(a, "source"));
    return false;
  });
  expect(ended(a, "source")).toBe(MANY);
  expect(peer?.stock.size).toBe(0);
  expect(most()).toBeLessThanOrEqual(ENDED_PER_TURN + 16);
  expect(Math.max(...seen)).toBeGreaterThan(0);
});

test("before an epoch turns, what is used of each KMA-key is made durable a few a turn", async () => {
  const network = laden({ epochMs: 5_000 });
  const { a, clock } = network;
  const rows = vi.spyOn(ReceivedKeys.prototype, "row");
  const most = watch(a, () => rows.mock.calls.length);
  await a.boot();
  const rotate = vi.spyOn(a.vault, "rotate");
  await clock.run(5_000);
  await until("the epoch turns", () => rotate.mock.calls.length === 1);
  expect(rows.mock.calls.length).toBeGreaterThanOrEqual(MANY);
  expect(most()).toBeLessThanOrEqual(ENDED_PER_TURN);
});
