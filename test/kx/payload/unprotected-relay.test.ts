// Whole keys to and from a peer of another make, which is written by hand and knows only the tables.

import { describe, expect, it, vi } from "vitest";
import { Fault } from "../../../src/core/fault.ts";
import type { UnprotectedKey, UnprotectedOffer } from "../../../src/keys/ports/peers.ts";
import { settled } from "../../support/manual-clock.ts";
import { until } from "../../support/until.ts";
import { withHand } from "../dialogue.ts";
import { A, B, faultOf, ids, KEY_ID, offer, RELAY_JSON } from "../fixture.ts";
import { handFrame } from "../hand-peer.ts";

const STRICT = { dialect: "strict" } as const;

/** A key whose bytes are all `fill`. */
function wholeKey(keyId: string, fill: number, length = 32): UnprotectedKey & { readonly written: number } {
  const letters = Buffer.from(Buffer.alloc(length, fill).toString("base64"), "latin1");
  const key = {
    keyId,
    length,
    written: 0,
    writeKey(target: Uint8Array, at: number) {
      key.written += 1;
      target.set(letters, at);
      return at + letters.length;
    },
  };
  return key;
}

const whole = (change: Partial<UnprotectedOffer> = {}): UnprotectedOffer => ({
  requestId: "r-1",
  source: A,
  destination: B,
  transit: [],
  keys: [wholeKey("k-1", 1), wholeKey("k-2", 2)],
  ...change,
});

const KEYS_JSON = [
  { key_ID: "k-1", key: Buffer.alloc(32, 1).toString("base64") },
  { key_ID: "k-2", key: Buffer.alloc(32, 2).toString("base64") },
];

/** The 0x1101 of `whole()` as the tables say it. */
const WHOLE_JSON = {
  source_KMA_ID: "km-a",
  destination_KMA_ID: "km-b",
  keys: KEYS_JSON,
  key_relay_request_ID: "r-1",
};

describe("whole keys that we relay", () => {
  it("Q.4163 8.1: several keys leave with their IDs in one message, and nothing that is not in the tables", async () => {
    const { session, hand } = withHand(STRICT);
    const taken = session.relayUnprotected(whole({ transit: ids("km-x", "km-y") }), 1_000);
    const frame = await hand.next(0x1101);
    expect(frame.json).toEqual({ ...WHOLE_JSON, transit_KMA_IDs: "km-x,km-y" });
    hand.answer(frame, 0x1102, { response: "success", key_relay_request_ID: "r-1" });
    await taken;
  });

  it("Q.4163 8.2: a completion without request ID answers the relay of its MessageID", async () => {
    const { session, hand } = withHand(STRICT);
    const [first, second] = [whole(), whole({ requestId: "r-2" })].map((asked) =>
      session.relayUnprotected(asked, 1_000),
    );
    const frames = [await hand.next(0x1101), await hand.next(0x1101)] as const;
    hand.answer(frames[1], 0x1102, { response: "success" });
    await second;
    const fault = faultOf(first ?? Promise.resolve());
    hand.answer(frames[0], 0x1102, { response: "KEY_STORE_OVERFLOW: another make's words" });
    expect(await fault).toMatchObject({ code: "INTERNAL" });
  });

  it("Q.4163 8.2: a completion with request ID answers that relay, whatever its MessageID", async () => {
    const { session, hand, ports } = withHand(STRICT);
    const first = session.relayUnprotected(whole(), 1_000);
    const second = faultOf(session.relayUnprotected(whole({ requestId: "r-2" }), 1_000));
    const frames = [await hand.next(0x1101), await hand.next(0x1101)] as const;
    hand.send(handFrame(0x1102, 4_711, { response: "success", key_relay_request_ID: "r-1" }));
    await first;
    hand.answer(frames[0], 0x1102, { response: "STORE_FULL: no room", key_relay_request_ID: "r-2" });
    expect(await second).toMatchObject({ code: "STORE_FULL", message: "no room" });
    expect(ports.count("answers_dropped", { door: "kx" })).toBe(0);
  });

  it("a completion of no open relay is dropped and counted: another's request ID, its own MessageID, a second one", async () => {
    const { session, hand, ports } = withHand(STRICT);
    const taken = session.relayUnprotected(whole(), 1_000);
    const frame = await hand.next(0x1101);
    hand.answer(frame, 0x1102, { response: "success", key_relay_request_ID: "r-0" });
    hand.send(handFrame(0x1102, 4_711, { response: "success" }));
    await until("two dropped", () => ports.count("answers_dropped", { door: "kx" }) === 2);
    hand.answer(frame, 0x1102, { response: "success", key_relay_request_ID: "r-1" });
    hand.answer(frame, 0x1102, { response: "success", key_relay_request_ID: "r-1" });
    await taken;
    await until("three dropped", () => ports.count("answers_dropped", { door: "kx" }) === 3);
    expect(session.endedBecause).toBeUndefined();
  });

  it.each([
    ["no response", {}],
    ["a response that is a number", { response: 1 }],
    ["a request ID that is a number", { response: "success", key_relay_request_ID: 1 }],
    ["an extension that is text", { response: "success", extension: "no" }],
  ])("a completion with %s fails that relay alone", async (_, json) => {
    const { session, hand } = withHand(STRICT);
    const fault = faultOf(session.relayUnprotected(whole(), 1_000));
    hand.answer(await hand.next(0x1101), 0x1102, json);
    expect(await fault).toMatchObject({ code: "INTERNAL" });
    expect(session.endedBecause).toBeUndefined();
  });

  it("one that is never completed ends as RELAY_TIMEOUT, and what comes later is dropped", async () => {
    const { session, hand, ports } = withHand(STRICT);
    const fault = faultOf(session.relayUnprotected(whole(), 1_000));
    const frame = await hand.next(0x1101);
    ports.clock.advance(1_000);
    expect((await fault).code).toBe("RELAY_TIMEOUT");
    hand.answer(frame, 0x1102, { response: "success", key_relay_request_ID: "r-1" });
    await until("a dropped answer", () => ports.count("answers_dropped", { door: "kx" }) === 1);
  });

  it("keys are written when the frame leaves, once, into memory that is zeroed", async () => {
    const { session, near, ports } = withHand(STRICT);
    const written: Uint8Array[] = [];
    const write = near.write.bind(near);
    near.write = (view) => {
      write(view);
      written.push(view);
    };
    near.stuck = true;
    const keys = [1, 2, 3].map((fill) => wholeKey(`k-${fill}`, fill));
    const faults = keys.map((key, index) =>
      faultOf(session.relayUnprotected(whole({ keys: [key] }), 100 + 100 * index)),
    );
    expect(keys.map((key) => key.written)).toEqual([1, 0, 0]);
    await ports.clock.run(200);
    near.release();
    await until("the third has left", () => near.writes.length === 2);
    expect(keys.map((key) => key.written)).toEqual([1, 0, 1]);
    expect(written.every((view) => view.every((byte) => byte === 0))).toBe(true);
    session.close("end of test");
    expect((await Promise.all(faults)).map(({ code }) => code)).toEqual([
      "RELAY_TIMEOUT",
      "RELAY_TIMEOUT",
      "PEER_UNAVAILABLE",
    ]);
  });

  it("a key that is not written as long as it said ends the connection, and nothing of it leaves", async () => {
    const { session, near } = withHand(STRICT);
    const key = { ...wholeKey("k-1", 1), length: 64 };
    expect((await faultOf(session.relayUnprotected(whole({ keys: [key] }), 1_000))).code).toBe("PEER_UNAVAILABLE");
    expect(near.writes).toEqual([]);
    await session.gone;
  });

  it("more keys than fit a frame are refused before anything leaves", async () => {
    const { session, near } = withHand(STRICT);
    const keys = Array.from({ length: 1_000 }, (_, index) => wholeKey(`k-${index}`, 1));
    await expect(session.relayUnprotected(whole({ keys }), 1_000)).rejects.toThrow(RangeError);
    expect(near.writes).toEqual([]);
  });
});

describe("whole keys that a strict peer relays", () => {
  it.each([
    ["no list of transit KMs", {}, []],
    ["a list that is comma-separated", { transit_KMA_IDs: "km-x,km-y" }, ["km-x", "km-y"]],
    ["a list that is an array", { transit_KMA_IDs: ["km-x", "km-y"] }, ["km-x", "km-y"]],
    ["an empty list", { transit_KMA_IDs: "" }, []],
    [
      "key extensions and entries that are not known here",
      { extension: [{ n: 1 }], keys: KEYS_JSON.map((key) => ({ ...key, key_extension: { hash: "x" } })) },
      [],
    ],
  ])("Q.4163 8.1: with %s they reach the key manager as letters", async (_, change, transit) => {
    const { hand, ports } = withHand(STRICT);
    hand.send(handFrame(0x1101, 7, { ...WHOLE_JSON, ...change }));
    const frame = await hand.next(0x1102);
    expect(frame).toMatchObject({ messageId: 7, json: { response: "success", key_relay_request_ID: "r-1" } });
    expect(Object.keys(frame.json)).toEqual(["response", "key_relay_request_ID"]);
    const keys = KEYS_JSON.map(({ key_ID, key }) => [key_ID, key]);
    expect(ports.events.arrivals).toEqual([
      { requestId: "r-1", source: A, destination: B, transit: ids(...transit), keys },
    ]);
  });

  it("Q.4163 8.1: without request ID they are answered without one", async () => {
    const { hand } = withHand(STRICT);
    const { key_relay_request_ID: _, ...json } = WHOLE_JSON;
    hand.send(handFrame(0x1101, 7, json));
    expect((await hand.next(0x1102)).json).toEqual({ response: "success" });
  });

  it("Q.4163 8.2: a refusal has nothing that is not in the tables", async () => {
    const { hand, ports } = withHand(STRICT);
    ports.events.onWhole = () => Promise.reject(new Fault("STORE_FULL", { text: "no room", failedAt: "km-z" }));
    hand.send(handFrame(0x1101, 7, WHOLE_JSON));
    expect((await hand.next(0x1102)).json).toEqual({ response: "STORE_FULL: no room", key_relay_request_ID: "r-1" });
  });

  it.each([true, false])(
    "letters are lent until the key manager is done, and are zero after (success: %s)",
    async (succeeds) => {
      const { hand, ports } = withHand(STRICT);
      const gate = Promise.withResolvers<void>();
      const lent: Uint8Array[] = [];
      ports.events.onWhole = (arrival) => {
        lent.push(...arrival.keys.map(({ letters }) => letters));
        return gate.promise;
      };
      hand.send(handFrame(0x1101, 7, WHOLE_JSON));
      await until("two keys", () => lent.length === 2);
      await settled();
      expect(lent.map((letters) => Buffer.from(letters).toString("latin1"))).toEqual(KEYS_JSON.map(({ key }) => key));
      if (succeeds) gate.resolve();
      else gate.reject(new Fault("STORE_FULL"));
      await hand.next(0x1102);
      expect(lent.flatMap((letters) => [...letters]).every((byte) => byte === 0)).toBe(true);
    },
  );

  it("their bytes are in no text", async () => {
    const { hand } = withHand(STRICT);
    const parse = vi.spyOn(JSON, "parse");
    hand.send(handFrame(0x1101, 1, WHOLE_JSON));
    await until("the answer", () => hand.frames.length === 1);
    const texts = parse.mock.calls.map(([text]) => String(text));
    parse.mockRestore();
    expect(texts.filter((text) => text.includes("k-1"))).toHaveLength(1);
    for (const { key } of KEYS_JSON) expect(texts.some((text) => text.includes(key))).toBe(false);
  });

  const [first] = KEYS_JSON;
  it.each<[string, string, object]>([
    ["no keys", "MALFORMED_REQUEST", { keys: [] }],
    ["an empty key", "MALFORMED_REQUEST", { keys: [{ ...first, key: "" }] }],
    ["a key that is a number", "MALFORMED_REQUEST", { keys: [{ ...first, key: 7 }] }],
    ["an empty ID", "MALFORMED_REQUEST", { keys: [{ ...first, key_ID: "" }] }],
    ["an ID of 257 characters", "MALFORMED_REQUEST", { keys: [{ ...first, key_ID: "k".repeat(257) }] }],
    ["an ID twice", "MALFORMED_REQUEST", { keys: [first, first] }],
    [
      "1,025 keys",
      "MALFORMED_REQUEST",
      { keys: Array.from({ length: 1_025 }, (_, n) => ({ key_ID: `${n}`, key: "AA==" })) },
    ],
    ["protection", "PROTECTION_REFUSED", { keys: [{ ...first, ...RELAY_JSON.keys[0], key: "" }] }],
    ["no source", "MALFORMED_REQUEST", { source_KMA_ID: undefined }],
  ])("with %s are answered as %s and go no further", async (_, code, change) => {
    const { hand, ports, session } = withHand(STRICT);
    hand.send(handFrame(0x1101, 3, { ...WHOLE_JSON, ...change }));
    const { json } = await hand.next(0x1102);
    expect(String(json.response)).toMatch(new RegExp(`^${code}: `));
    expect(json.extension).toBeUndefined();
    expect(ports.count("relays_refused", { peer: "km-b", direction: "in", fault: code })).toBe(1);
    expect(ports.events.happened).toEqual([]);
    expect(session.endedBecause).toBeUndefined();
  });
});

describe("design 5: the dialect of a peer is configuration only", () => {
  it("a whole key from an extended peer is refused, and none is sent to one", async () => {
    const { session, hand, ports, near } = withHand();
    expect((await faultOf(session.relayUnprotected(whole(), 1_000))).code).toBe("PROTECTION_REFUSED");
    expect(near.writes).toEqual([]);
    hand.send(handFrame(0x1101, 1, { ...WHOLE_JSON, keys: KEYS_JSON.slice(0, 1) }));
    expect((await hand.next(0x1102)).json.response).toMatch(/^PROTECTION_REFUSED: /);
    expect(ports.events.happened).toEqual([]);
  });

  it("a protected key is not sent to a strict peer", async () => {
    const { session, near } = withHand(STRICT);
    expect((await faultOf(session.relay(offer({ keyId: KEY_ID }), 1_000))).code).toBe("PROTECTION_REFUSED");
    expect(near.writes).toEqual([]);
  });

  it("a strict peer is not asked for signs of life: it may know none", async () => {
    const { session, hand, ports } = withHand(STRICT);
    await ports.clock.run(60_000);
    expect(hand.frames).toEqual([]);
    expect(session.endedBecause).toBeUndefined();
    expect(ports.clock.waiting).toBe(0);
  });
});
