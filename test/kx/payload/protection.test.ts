// Keys under a pad and keys in parts, with a peer that is written by hand.

import { describe, expect, it } from "vitest";
import { linkId } from "../../../src/core/ids.ts";
import type { LinkRange, RelayOffer } from "../../../src/keys/ports/peers.ts";
import { until } from "../../support/until.ts";
import { withHand } from "../dialogue.ts";
import { COMPLETION_JSON, END_TAG, faultOf, ids, KEY_ID, offer, RELAY_JSON, TAG, TAG_BASE64 } from "../fixture.ts";
import { handFrame } from "../hand-peer.ts";

const range = (sequence: number, offset: number, length: number): LinkRange => ({
  link: linkId("bc"),
  run: 3,
  sequence,
  offset,
  length,
});

const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, index) => (index * 7 + 1) & 0xff);

const padded = (key: Uint8Array, pads: readonly LinkRange[]): RelayOffer =>
  offer({ protection: { scheme: "otp", pads, tag: TAG }, key });

const KEY = bytes(64);
const PADS = [range(7, 4_000, 96)];

/** The 0x1101 of `padded(KEY, PADS)` as the tables say it. */
const OTP_JSON = {
  ...RELAY_JSON,
  keys: [
    {
      key_ID: KEY_ID,
      key: Buffer.from(KEY).toString("base64"),
      key_extension: { protection: { scheme: "otp", pads: PADS, tag: TAG_BASE64 } },
    },
  ],
};

describe("the scheme otp", () => {
  it("key-protocol 2: a masked key leaves in base64, with its pads and its tag", async () => {
    const { session, hand } = withHand();
    const relayed = session.relay(padded(KEY, PADS), 1_000);
    const frame = await hand.next(0x1101);
    expect(frame.json).toEqual(OTP_JSON);
    hand.answer(frame, 0x1102, COMPLETION_JSON);
    expect(await relayed).toEqual({ keyId: KEY_ID, tag: END_TAG });
  });

  it.each([1, 10, 333, 16_384])(
    "key-protocol 2: one that arrives in chunks of %i bytes is lent as bytes",
    async (chunkBytes) => {
      const { hand, ports } = withHand({ chunkBytes });
      hand.send(handFrame(0x1101, 7, OTP_JSON));
      expect((await hand.next(0x1102)).json).toEqual(COMPLETION_JSON);
      expect(ports.events.offers).toEqual([padded(KEY, PADS)]);
    },
  );

  it("a key of 32 KiB with pads of 10 segments and 64 KMs on the way fits a frame", async () => {
    const { session, hand } = withHand();
    const key = bytes(32_768);
    const link = linkId("l".repeat(64));
    const run = Number.MAX_SAFE_INTEGER;
    const lengths = [4_096, 4_096, 4_096, 4_096, 4_096, 4_096, 4_096, 4_096, 16, 16];
    const pads = lengths.map((length) => ({ link, run, sequence: run, offset: 28_672, length }));
    const transit = ids(...Array.from({ length: 64 }, (_, index) => `km-${index}-`.padEnd(64, "x")));
    const relayed = session.relay({ ...padded(key, pads), transit, requestId: "r".repeat(256), givenUp: "" }, 1_000);
    const frame = await hand.next(0x1101);
    const [entry] = frame.json.keys as readonly { readonly key: string }[];
    expect(Buffer.from(entry?.key ?? "", "base64").equals(key)).toBe(true);
    hand.answer(frame, 0x1102, { ...COMPLETION_JSON, key_relay_request_ID: "r".repeat(256) });
    await relayed;
    const back = withHand();
    back.hand.send(handFrame(0x1101, 1, frame.json));
    await back.hand.next(0x1102);
    expect(back.ports.events.offers).toEqual([
      { ...padded(key, pads), transit, requestId: "r".repeat(256), givenUp: "" },
    ]);
  });

  it("a relay that is given up before it left never leaves, and its key is not read", async () => {
    const { session, near, ports } = withHand();
    near.stuck = true;
    const first = faultOf(session.relay(padded(KEY, PADS), 500));
    const second = faultOf(session.relay(offer(), 1_000));
    ports.clock.advance(1_000);
    expect([(await first).code, (await second).code]).toEqual(["RELAY_TIMEOUT", "RELAY_TIMEOUT"]);
    near.release();
    await until("the write has ended", () => !near.writing);
    expect(near.writes).toHaveLength(1);
  });

  it("what is written is zeroed when the channel has taken it", async () => {
    const { session, near } = withHand();
    const written: Uint8Array[] = [];
    const write = near.write.bind(near);
    near.write = (view) => {
      write(view);
      written.push(view);
    };
    const relayed = faultOf(session.relay(padded(KEY, PADS), 1_000));
    expect(near.writes[0]?.includes("otp")).toBe(true);
    expect(written[0]?.every((byte) => byte === 0)).toBe(true);
    session.close("end of test");
    await relayed;
  });
});

describe("parts", () => {
  it.each([
    ["link", offer({ part: { part: 1, parts: 2 } }), RELAY_JSON],
    ["otp", { ...padded(KEY, PADS), part: { part: 3, parts: 3 } }, OTP_JSON],
  ])("key-protocol 2, multipath: one part under the scheme %s crosses in both directions", async (_, asked, plain) => {
    const { session, hand, ports } = withHand();
    const relayed = session.relay(asked, 1_000);
    const frame = await hand.next(0x1101);
    const [entry] = plain.keys;
    const keys = [{ ...entry, key_extension: { ...entry?.key_extension, ...asked.part } }];
    expect(frame.json).toEqual({ ...plain, keys });
    hand.answer(frame, 0x1102, COMPLETION_JSON);
    await relayed;
    hand.send(handFrame(0x1101, 1, frame.json));
    await hand.next(0x1102);
    expect(ports.events.offers).toEqual([asked]);
  });
});

describe("bounds", () => {
  const [entry] = OTP_JSON.keys;
  const changed = (change: object, key = entry?.key): object => ({
    ...OTP_JSON,
    keys: [{ ...entry, key, key_extension: { protection: { ...entry?.key_extension.protection, ...change } } }],
  });
  const pad = (change: object): object => changed({ pads: [{ ...PADS[0], ...change }] });
  const parts = (change: object): object => ({
    ...OTP_JSON,
    keys: [{ ...entry, key_extension: { ...entry?.key_extension, ...change } }],
  });
  const many = Array.from({ length: 17 }, (_, index) => range(index, 0, index === 0 ? 80 : 1));

  it.each<[string, object]>([
    ["no pads", changed({ pads: undefined })],
    ["pads that are no array", changed({ pads: {} })],
    ["an empty list of pads", changed({ pads: [] })],
    ["more than 16 segments", changed({ pads: many })],
    ["a pad that is no object", changed({ pads: [7] })],
    ["a pad without link", pad({ link: undefined })],
    ["a pad with a run that is text", pad({ run: "3" })],
    ["a pad with a negative sequence", pad({ sequence: -1 })],
    ["a pad with half an offset", pad({ offset: 0.5 })],
    ["a pad without offset", pad({ offset: undefined })],
    ["a pad of no bytes", changed({ pads: [PADS[0], range(8, 0, 0)] })],
    ["a pad that ends outside of every block", pad({ offset: 32_768 - 95 })],
    ["pads a byte too short", pad({ length: 95 })],
    ["pads a byte too long", pad({ length: 97 })],
    ["no tag", changed({ tag: undefined })],
    ["an empty key", changed({ pads: [range(7, 0, 32)] }, "")],
    [
      "a key of 32 KiB and a byte",
      changed({ pads: [range(7, 0, 32_768), range(8, 0, 33)] }, Buffer.alloc(32_769).toString("base64")),
    ],
    ["a key that is no base64", changed({}, `${entry?.key.slice(0, -4)}@@@=`)],
    ["a key in base64url", changed({}, `-_${entry?.key.slice(2)}`)],
    ["a key without padding", changed({}, entry?.key.replaceAll("=", ""))],
    ["no key", { ...OTP_JSON, keys: [{ ...entry, key: undefined }] }],
    ["a part without parts", parts({ part: 1 })],
    ["parts without a part", parts({ parts: 2 })],
    ["the only part", parts({ part: 1, parts: 1 })],
    ["part 0", parts({ part: 0, parts: 2 })],
    ["part 3 of 2", parts({ part: 3, parts: 2 })],
    ["17 parts", parts({ part: 1, parts: 17 })],
    ["a part in a string", parts({ part: "1", parts: 2 })],
    ["65 KMs on the way", { ...OTP_JSON, transit_KMA_IDs: Array.from({ length: 65 }, (_, index) => `km-${index}`) }],
  ])("a relay with %s is MALFORMED_REQUEST and goes no further", async (_, relay) => {
    const { hand, ports, session } = withHand();
    hand.send(handFrame(0x1101, 3, relay));
    const { json } = await hand.next(0x1102);
    expect(json.response).toMatch(/^MALFORMED_REQUEST: /);
    expect(json.extension).toEqual([{ name: "qkm_failed_at", KMA_ID: "km-a" }]);
    expect(ports.events.happened).toEqual([]);
    expect(session.endedBecause).toBeUndefined();
  });

  it("a key with escaped slashes is read as JSON means it", async () => {
    const { hand, ports } = withHand();
    const key = Buffer.from(Uint8Array.from({ length: 64 }, () => 0xff));
    const text = JSON.stringify(changed({}, key.toString("base64"))).replaceAll("/", "\\/");
    hand.send(handFrame(0x1101, 3, text));
    expect((await hand.next(0x1102)).json.response).toBe("success");
    expect(Buffer.from(ports.events.offers[0]?.key ?? []).equals(key)).toBe(true);
  });
});
