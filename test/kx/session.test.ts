// Kx dialogues with a peer that is written by hand, and between two of ours.

import { describe, expect, it, vi } from "vitest";
import { Fault } from "../../src/core/fault.ts";
import { MAX_OPEN_CALLS } from "../../src/kx/calls.ts";
import { KxSession } from "../../src/kx/session.ts";
import { ManualClock, settled } from "../support/manual-clock.ts";
import { until } from "../support/until.ts";
import { withHand } from "./dialogue.ts";
import {
  A,
  B,
  C,
  COMPLETION_JSON,
  END_TAG,
  END_TAG_BASE64,
  faultOf,
  ids,
  KEY_ID,
  offer,
  RELAY_JSON,
  TestPorts,
} from "./fixture.ts";
import { handFrame } from "./hand-peer.ts";
import { type MemoryOptions, memoryPair } from "./memory-channel.ts";

const TELL_JSON = { session_ID: "", number_of_keys: 0, extension: [{ name: "qkm_marks", marks: [] }] };
const MARKS = { name: "qkm_marks", marks: [{ serial: 5, offset: 8192 }] };

describe("our requests", () => {
  it("Q.4163 8.1: a relay of a link block leaves as 0x1101, and 0x1102 with its tag confirms it", async () => {
    const { session, hand } = withHand();
    const relayed = session.relay(offer(), 1_000);
    const frame = await hand.next(0x1101);
    expect(frame).toEqual({ version: 1, messageId: 1, code: 0x1101, json: RELAY_JSON });
    hand.answer(frame, 0x1102, COMPLETION_JSON);
    expect(await relayed).toEqual({ keyId: KEY_ID, tag: END_TAG });
  });

  it("Q.4163 8.1: transit KMs leave comma-separated in route order, serials given up as an extension", async () => {
    const { session, hand } = withHand();
    const relayed = session.relay(offer({ transit: ids("km-x", "km-y"), givenUp: "17,20-22" }), 1_000);
    const frame = await hand.next(0x1101);
    expect(frame.json.transit_KMA_IDs).toBe("km-x,km-y");
    expect(frame.json.extension).toEqual([{ name: "qkm_given_up", serials: "17,20-22" }]);
    hand.answer(frame, 0x1102, COMPLETION_JSON);
    await relayed;
  });

  it.each([
    ["BAD_TAG: the ends differ", "BAD_TAG", "the ends differ"],
    ["STORE_FULL: no room, come again", "STORE_FULL", "no room, come again"],
    ["TELEPORT: something new", "INTERNAL", "the peer answers: TELEPORT: something new"],
    ["toString: no code of ours", "INTERNAL", "the peer answers: toString: no code of ours"],
    ["busy", "INTERNAL", "the peer answers: busy"],
  ])("Q.4163 8.2: the response %s becomes a fault with the hop that failed", async (response, code, text) => {
    const { session, hand } = withHand();
    const fault = faultOf(session.relay(offer(), 1_000));
    const extension = [{ name: "qkm_failed_at", KMA_ID: "km-c" }];
    hand.answer(await hand.next(0x1101), 0x1102, { response, key_relay_request_ID: "r-1", extension });
    expect(await fault).toMatchObject({ code, message: text, failedAt: "km-c" });
  });

  it.each([
    ["no confirmation", { response: "success" }],
    ["another key", { ...COMPLETION_JSON, extension: [{ name: "qkm_confirm", keys: [{ key_ID: "x", tag: "" }] }] }],
    ["another request", { ...COMPLETION_JSON, key_relay_request_ID: "r-2" }],
    ["no response", { extension: COMPLETION_JSON.extension }],
    ["a response that is a number", { ...COMPLETION_JSON, response: 1 }],
    ["the confirmation twice", { ...COMPLETION_JSON, extension: [0, 1].map(() => COMPLETION_JSON.extension[0]) }],
    [
      "a tag of 15 bytes",
      {
        ...COMPLETION_JSON,
        extension: [{ name: "qkm_confirm", keys: [{ key_ID: KEY_ID, tag: "8PHy8/T19vf4+fr7/P3+" }] }],
      },
    ],
    ["a failure at no hop", { response: "BAD_TAG: no", extension: [{ name: "qkm_failed_at", KMA_ID: 7 }] }],
  ])("an answer with %s fails that call alone", async (_, answer) => {
    const { session, hand } = withHand();
    const fault = faultOf(session.relay(offer(), 1_000));
    hand.answer(await hand.next(0x1101), 0x1102, answer);
    expect(await fault).toMatchObject({ code: "INTERNAL" });
    expect((await fault).message).toContain("the peer's answer cannot be understood");
    expect(session.endedBecause).toBeUndefined();
  });

  it("a completion without request ID or with the confirmation among other entries is accepted", async () => {
    const { session, hand } = withHand();
    const relayed = session.relay(offer(), 1_000);
    const extension = [{ name: "from_elsewhere", n: 1 }, ...COMPLETION_JSON.extension];
    hand.answer(await hand.next(0x1101), 0x1102, { response: "success", extension, more: true });
    expect((await relayed).tag).toEqual(END_TAG);
  });

  it("Q.4163 8.3: a tell leaves as 0x1103 with no keys and no session, and 0x1104 ends it", async () => {
    const { session, hand } = withHand();
    const told = session.tell([MARKS], 1_000);
    const frame = await hand.next(0x1103);
    expect(frame.json).toEqual({ session_ID: "", number_of_keys: 0, extension: [MARKS] });
    hand.answer(frame, 0x1104, { session_ID: "", key_ID: "", response: "success" });
    await told;
    const refused = faultOf(session.tell([MARKS], 1_000));
    hand.answer(await hand.next(0x1103), 0x1104, { session_ID: "", key_ID: "", response: "STORE_UNAVAILABLE: full" });
    expect(await refused).toMatchObject({ code: "STORE_UNAVAILABLE", message: "full" });
  });

  it("Q.4163 8.3: entries for which one frame is too small go in several, one after the other", async () => {
    const { session, hand } = withHand();
    const entries = [1, 2, 3].map((n) => ({ name: "qkm_state", n, text: "y".repeat(40_000) }));
    const told = faultOf(session.tell(entries, 1_000));
    const answer = { session_ID: "", key_ID: "", response: "success" };
    for (const entry of entries.slice(0, 2)) {
      const frame = await hand.next(0x1103);
      expect(frame.json.extension).toEqual([entry]);
      expect(hand.frames).toEqual([]);
      hand.answer(frame, 0x1104, answer);
    }
    hand.answer(await hand.next(0x1103), 0x1104, { ...answer, response: "STORE_UNAVAILABLE: full" });
    expect((await told).code).toBe("STORE_UNAVAILABLE");
  });

  it("what fits no frame is refused before anything leaves", async () => {
    const { session, near } = withHand();
    await expect(session.tell([{ name: "x", text: "y".repeat(65_536) }], 1_000)).rejects.toThrow(RangeError);
    await expect(session.relay(offer({ givenUp: "1,".repeat(40_000) }), 1_000)).rejects.toThrow(RangeError);
    expect(near.writes).toEqual([]);
  });

  it("answers may come in any order, each to its request", async () => {
    const { session, hand } = withHand();
    const first = session.relay(offer({ requestId: "r-1" }), 1_000);
    const second = session.relay(offer({ requestId: "r-2" }), 1_000);
    const [one, two] = [await hand.next(0x1101), await hand.next(0x1101)];
    expect(two.messageId).not.toBe(one.messageId);
    hand.answer(two, 0x1102, { ...COMPLETION_JSON, key_relay_request_ID: "r-2" });
    hand.answer(one, 0x1102, { response: "BAD_TAG: no" });
    expect((await faultOf(first)).code).toBe("BAD_TAG");
    expect((await second).keyId).toBe(KEY_ID);
  });
});

describe("MessageIDs and time limits", () => {
  it("a relay without answer ends as RELAY_TIMEOUT, a tell as PEER_UNAVAILABLE; late answers are dropped", async () => {
    const { session, hand, ports } = withHand();
    const relay = faultOf(session.relay(offer(), 1_000));
    const tell = faultOf(session.tell([MARKS], 2_000));
    const [asked, told] = [await hand.next(0x1101), await hand.next(0x1103)];
    ports.clock.advance(1_000);
    expect((await relay).code).toBe("RELAY_TIMEOUT");
    ports.clock.advance(1_000);
    expect((await tell).code).toBe("PEER_UNAVAILABLE");
    hand.answer(asked, 0x1102, COMPLETION_JSON);
    hand.answer(told, 0x1104, { session_ID: "", key_ID: "", response: "success" });
    await until("two dropped answers", () => ports.count("answers_dropped", { door: "kx" }) === 2);
    expect(session.endedBecause).toBeUndefined();
  });

  it("an answer that comes twice, that nobody asked for, or of the wrong kind is dropped and counted", async () => {
    const { session, hand, ports } = withHand();
    const relay = session.relay(offer(), 1_000);
    const frame = await hand.next(0x1101);
    hand.answer(frame, 0x1104, { session_ID: "", key_ID: "", response: "success" });
    hand.send(handFrame(0x1102, 99, COMPLETION_JSON));
    hand.answer(frame, 0x1102, COMPLETION_JSON);
    hand.answer(frame, 0x1102, { response: "BAD_TAG: second thoughts" });
    expect((await relay).keyId).toBe(KEY_ID);
    await until("three dropped answers", () => ports.count("answers_dropped", { door: "kx" }) === 3);
  });

  it("numbers wrap, past those that are still open", async () => {
    const { session, hand, ports } = withHand({ lastMessageId: 0xffff_fffd });
    const faults = [1, 2, 3].map(() => faultOf(session.relay(offer(), 1_000)));
    const numbers = [];
    for (const _ of faults) numbers.push((await hand.next(0x1101)).messageId);
    expect(numbers).toEqual([0xffff_fffe, 0xffff_ffff, 0]);
    ports.clock.advance(1_000);
    await Promise.all(faults);
    faults.push(faultOf(session.relay(offer(), 1_000)));
    expect((await hand.next(0x1101)).messageId).toBe(1);
    session.close("end of test");
  });

  it("more open requests than allowed are BUSY, and room comes with each answer", async () => {
    const { session, hand } = withHand();
    const open = Array.from({ length: MAX_OPEN_CALLS }, () => faultOf(session.relay(offer(), 1_000)));
    expect((await faultOf(session.relay(offer(), 1_000))).code).toBe("BUSY");
    hand.answer(await hand.next(0x1101), 0x1102, { response: "BAD_TAG: no" });
    expect((await open[0])?.code).toBe("BAD_TAG");
    const another = faultOf(session.relay(offer(), 1_000));
    session.close("end of test");
    expect((await another).code).toBe("PEER_UNAVAILABLE");
    await Promise.all(open);
  });

  it("a peer that takes no bytes makes requests BUSY instead of a queue that grows", async () => {
    const { session, near } = withHand();
    near.stuck = true;
    const entry = { name: "x", text: "y".repeat(60_000) };
    const tells = Array.from({ length: 20 }, () => faultOf(session.tell([entry], 1_000)));
    expect((await tells[19])?.code).toBe("BUSY");
    expect(near.writes).toHaveLength(1);
    session.close("end of test");
    const codes = (await Promise.all(tells)).map(({ code }) => code);
    expect(codes.filter((code) => code === "PEER_UNAVAILABLE")).toHaveLength(18);
  });

  it("frames that were queued during a write leave in one write", async () => {
    const { session, near, hand } = withHand();
    near.stuck = true;
    const tells = [1, 2, 3, 4].map(() => session.tell([MARKS], 1_000));
    await settled();
    near.release();
    for (const _ of tells) {
      hand.answer(await hand.next(0x1103), 0x1104, { session_ID: "", key_ID: "", response: "success" });
    }
    await Promise.all(tells);
    expect(near.writes).toHaveLength(2);
    expect(near.writes[1]?.length).toBe(3 * (near.writes[0]?.length ?? 0));
  });
});

describe("the peer's requests", () => {
  it("Q.4163 8.1: a relay reaches the key manager and is answered by 0x1102 with the end-to-end tag", async () => {
    const { hand, ports } = withHand();
    hand.send(handFrame(0x1101, 7, RELAY_JSON));
    expect(await hand.next(0x1102)).toEqual({ version: 1, messageId: 7, code: 0x1102, json: COMPLETION_JSON });
    expect(ports.events.offers).toEqual([offer()]);
  });

  it.each([
    ["comma-separated", "km-x,km-y"],
    ["an array", ["km-x", "km-y"]],
  ])("Q.4163 8.1: a list of transit KMs that is %s is understood, serials given up too", async (_, transit) => {
    const { hand, ports } = withHand();
    const extension = [{ name: "elsewhere" }, { name: "qkm_given_up", serials: "17,20-22" }];
    hand.send(handFrame(0x1101, 7, { ...RELAY_JSON, transit_KMA_IDs: transit, extension }));
    await hand.next(0x1102);
    expect(ports.events.offers).toEqual([offer({ transit: ids("km-x", "km-y"), givenUp: "17,20-22" })]);
  });

  it("Q.4163 8.1: a relay without request ID is answered without one", async () => {
    const { hand, ports } = withHand();
    const { key_relay_request_ID: _, ...relay } = RELAY_JSON;
    hand.send(handFrame(0x1101, 0, { ...relay, transit_KMA_IDs: "" }));
    const { json } = await hand.next(0x1102);
    expect(json).toEqual({ response: "success", extension: COMPLETION_JSON.extension });
    expect(ports.events.offers).toEqual([offer({ requestId: "" })]);
  });

  it("Q.4163 8.2: a refusal names the fault and the hop: the one that failed, or this KM", async () => {
    const { hand, ports } = withHand();
    ports.events.onRelayed = async () => Promise.reject(new Fault("BAD_TAG", { failedAt: C }));
    hand.send(handFrame(0x1101, 1, RELAY_JSON));
    expect((await hand.next(0x1102)).json).toEqual({
      response: "BAD_TAG: the tag does not fit: the two ends hold different bits",
      key_relay_request_ID: "r-1",
      extension: [{ name: "qkm_failed_at", KMA_ID: "km-c" }],
    });
    ports.events.onRelayed = async () => Promise.reject(new Fault("STORE_FULL", { text: "no room" }));
    hand.send(handFrame(0x1101, 2, RELAY_JSON));
    expect((await hand.next(0x1102)).json).toMatchObject({
      response: "STORE_FULL: no room",
      extension: [{ name: "qkm_failed_at", KMA_ID: "km-a" }],
    });
  });

  it("a defect of the key manager is answered as INTERNAL, logged, and the connection lives", async () => {
    const { hand, ports, session } = withHand();
    ports.events.onRelayed = () => {
      throw new TypeError("not a function");
    };
    hand.send(handFrame(0x1101, 1, RELAY_JSON));
    expect((await hand.next(0x1102)).json.response).toBe("INTERNAL: an internal error");
    expect(ports.lines.filter(({ level }) => level === "error")).toHaveLength(1);
    expect(session.endedBecause).toBeUndefined();
  });

  it("Q.4163 8.3: tells reach the key manager in order, each answered when it is done", async () => {
    const { hand, ports } = withHand({ chunkBytes: 3 });
    const ends: (() => void)[] = [];
    ports.events.onTold = () => new Promise((resolve) => ends.push(resolve));
    const names = ["one", "two", "three"];
    for (const [index, name] of names.entries()) {
      hand.send(handFrame(0x1103, index, { ...TELL_JSON, extension: [{ name }] }));
    }
    await until("three tells", () => ends.length === 3);
    expect(ports.events.tells.map((entries) => entries[0]?.name)).toEqual(names);
    for (const index of [2, 0, 1]) {
      ends[index]?.();
      const { messageId, json } = await hand.next(0x1104);
      expect(messageId).toBe(index);
      expect(json).toEqual({ session_ID: "", key_ID: "", response: "success" });
    }
  });

  it("Q.4163 8.4: a tell that fails says why", async () => {
    const { hand, ports } = withHand();
    ports.events.onTold = async () => Promise.reject(new Fault("STORE_UNAVAILABLE"));
    hand.send(handFrame(0x1103, 1, TELL_JSON));
    expect((await hand.next(0x1104)).json.response).toBe("STORE_UNAVAILABLE: the key store cannot be written");
  });

  it("an empty tell is a sign of life: answered here, not told", async () => {
    const { hand, ports } = withHand();
    hand.send(handFrame(0x1103, 1, { session_ID: "", number_of_keys: 0 }));
    expect((await hand.next(0x1104)).json.response).toBe("success");
    expect(ports.events.happened).toEqual([]);
  });

  it("a wish that is refused as a whole is answered once, with the reason", async () => {
    const { hand, ports } = withHand();
    ports.events.onNotified = () => Promise.reject(new Fault("EXTENSION_UNSUPPORTED"));
    hand.send(handFrame(0x1103, 1, { session_ID: "s-1", number_of_keys: 3 }));
    const { json } = await hand.next(0x1104);
    expect(json).toMatchObject({ session_ID: "s-1", key_ID: "" });
    expect(json.response).toMatch(/^EXTENSION_UNSUPPORTED: /);
  });

  it("more waiting requests than allowed are BUSY, but signs of life are answered", async () => {
    const { hand, ports, session } = withHand();
    ports.events.onTold = () => new Promise(() => {});
    for (let id = 0; id < MAX_OPEN_CALLS; id += 1) hand.send(handFrame(0x1103, id, TELL_JSON));
    hand.send(handFrame(0x1103, 70_000, TELL_JSON));
    hand.send(handFrame(0x1101, 70_001, RELAY_JSON));
    hand.send(handFrame(0x1103, 70_002, { ...TELL_JSON, extension: [] }));
    expect((await hand.next(0x1104)).json.response).toMatch(/^BUSY: /);
    expect((await hand.next(0x1102)).json.response).toMatch(/^BUSY: /);
    expect((await hand.next(0x1104)).json.response).toBe("success");
    session.close("end of test");
  });

  it("answers find room behind a queue that is full of requests", async () => {
    const { hand, ports, session, near } = withHand();
    const gate = Promise.withResolvers<void>();
    ports.events.onTold = () => gate.promise;
    for (let id = 0; id < 10; id += 1) hand.send(handFrame(0x1103, id, TELL_JSON));
    await until("ten tells", () => ports.events.tells.length === 10);
    near.stuck = true;
    const entry = { name: "x", text: "y".repeat(60_000) };
    const tells = Array.from({ length: 20 }, () => faultOf(session.tell([entry], 1_000)));
    expect((await tells[19])?.code).toBe("BUSY");
    gate.resolve();
    await settled();
    near.release();
    for (let ms = 0; ms < 40; ms += 1) await ports.clock.run(1);
    for (let id = 0; id < 10; id += 1) expect((await hand.next(0x1104)).messageId).toBe(id);
    session.close("end of test");
    await Promise.all(tells);
  });
});

describe("key bytes in a relay that is refused", () => {
  it("are left out of the text that the payload becomes", async () => {
    const { hand, ports } = withHand();
    const parse = vi.spyOn(JSON, "parse");
    hand.send(handFrame(0x1101, 1, { ...RELAY_JSON, keys: [{ key_ID: KEY_ID, key: END_TAG_BASE64 }] }));
    await until("the refusal", () => hand.frames.length === 1);
    const texts = parse.mock.calls.map(([text]) => String(text)).filter((text) => text.includes("source_KMA_ID"));
    parse.mockRestore();
    expect(texts).toHaveLength(1);
    expect(texts[0]).toContain('"key":""');
    expect(texts[0]).not.toContain(END_TAG_BASE64);
    expect((await hand.next(0x1102)).json.response).toMatch(/^PROTECTION_REFUSED: /);
    expect(ports.events.happened).toEqual([]);
  });
});

describe("requests with bad parameters", () => {
  const key = RELAY_JSON.keys[0];
  const protection = key?.key_extension.protection;
  const withProtection = (change: object): object => ({
    ...RELAY_JSON,
    keys: [{ ...key, key_extension: { protection: { ...protection, ...change } } }],
  });

  it.each<[string, string, object]>([
    ["no protection", "PROTECTION_REFUSED", { ...RELAY_JSON, keys: [{ key_ID: KEY_ID, key: END_TAG_BASE64 }] }],
    ["an empty key_extension", "PROTECTION_REFUSED", { ...RELAY_JSON, keys: [{ ...key, key_extension: {} }] }],
    ["an unknown scheme", "PROTECTION_REFUSED", withProtection({ scheme: "rot13" })],
    ["key bytes under the scheme link", "MALFORMED_REQUEST", { ...RELAY_JSON, keys: [{ ...key, key: "QUJD" }] }],
    ["no key", "MALFORMED_REQUEST", { ...RELAY_JSON, keys: [] }],
    ["two keys", "MALFORMED_REQUEST", { ...RELAY_JSON, keys: [key, key] }],
    ["keys that are text", "MALFORMED_REQUEST", { ...RELAY_JSON, keys: "no" }],
    [
      "a key ID in capitals",
      "MALFORMED_REQUEST",
      { ...RELAY_JSON, keys: [{ ...key, key_ID: "00000000-0500-8000-8000-00000000ABCD" }] },
    ],
    [
      "a key ID of version 4",
      "MALFORMED_REQUEST",
      {
        ...RELAY_JSON,
        keys: [{ ...key, key_ID: "00000000-0500-4000-8000-00000000abcd" }],
      },
    ],
    ["no source", "MALFORMED_REQUEST", { ...RELAY_JSON, source_KMA_ID: undefined }],
    ["a source that is no ID", "MALFORMED_REQUEST", { ...RELAY_JSON, source_KMA_ID: "km a" }],
    ["a destination of 65 characters", "MALFORMED_REQUEST", { ...RELAY_JSON, destination_KMA_ID: "k".repeat(65) }],
    ["an empty name on the route", "MALFORMED_REQUEST", { ...RELAY_JSON, transit_KMA_IDs: "km-x,,km-y" }],
    ["a route of numbers", "MALFORMED_REQUEST", { ...RELAY_JSON, transit_KMA_IDs: [1] }],
    ["a fractional run", "MALFORMED_REQUEST", withProtection({ run: 1.5 })],
    ["a run in a string", "MALFORMED_REQUEST", withProtection({ run: "1" })],
    ["a negative sequence", "MALFORMED_REQUEST", withProtection({ sequence: -1 })],
    ["a sequence beyond 2^53", "MALFORMED_REQUEST", withProtection({ sequence: 2 ** 53 })],
    ["no link", "MALFORMED_REQUEST", withProtection({ link: undefined })],
    ["a tag of 15 bytes", "MALFORMED_REQUEST", withProtection({ tag: "AAECAwQFBgcICQoLDA0O" })],
    ["a tag without padding", "MALFORMED_REQUEST", withProtection({ tag: "AAECAwQFBgcICQoLDA0ODw" })],
    ["a tag in base64url", "MALFORMED_REQUEST", withProtection({ tag: "8PHy8_T19vf4-fr7_P3-_w==" })],
    ["a tag with loose bits", "MALFORMED_REQUEST", withProtection({ tag: "AAECAwQFBgcICQoLDA0ODx==" })],
    [
      "serials that are no numbers",
      "MALFORMED_REQUEST",
      {
        ...RELAY_JSON,
        extension: [{ name: "qkm_given_up", serials: "17;20" }],
      },
    ],
    ["an entry without name", "MALFORMED_REQUEST", { ...RELAY_JSON, extension: [{ serials: "1" }] }],
    ["an extension that is an object", "MALFORMED_REQUEST", { ...RELAY_JSON, extension: {} }],
  ])("a relay with %s is answered as %s and goes no further", async (_, response, relay) => {
    const { hand, ports, session } = withHand();
    hand.send(handFrame(0x1101, 3, relay));
    const { json, messageId } = await hand.next(0x1102);
    expect(messageId).toBe(3);
    expect(String(json.response).startsWith(response)).toBe(true);
    expect(json.key_relay_request_ID).toBe("r-1");
    expect(json.extension).toEqual([{ name: "qkm_failed_at", KMA_ID: "km-a" }]);
    expect(ports.count("relays_refused", { peer: "km-b", direction: "in", fault: response.split(":")[0] ?? "" })).toBe(
      1,
    );
    expect(ports.events.happened).toEqual([]);
    expect(session.endedBecause).toBeUndefined();
  });

  it.each<[string, object]>([
    ["no session_ID", { number_of_keys: 0 }],
    ["a negative number", { session_ID: "", number_of_keys: -1 }],
    ["entries without name", { session_ID: "", number_of_keys: 0, extension: [{}] }],
    ["a name that is a number", { session_ID: "", number_of_keys: 0, extension: [{ name: 1 }] }],
  ])("a tell with %s is answered as MALFORMED_REQUEST", async (_, tell) => {
    const { hand, ports } = withHand();
    hand.send(handFrame(0x1103, 3, tell));
    expect((await hand.next(0x1104)).json.response).toMatch(/^MALFORMED_REQUEST: /);
    expect(ports.events.happened).toEqual([]);
  });

  it("a request ID that is too long to say back is refused and left out of the answer", async () => {
    const { hand } = withHand();
    hand.send(handFrame(0x1101, 3, { ...RELAY_JSON, key_relay_request_ID: "r".repeat(60_000) }));
    const { json } = await hand.next(0x1102);
    expect(json.response).toMatch(/^MALFORMED_REQUEST: /);
    expect(json.key_relay_request_ID).toBeUndefined();
  });
});

describe("frames that end the connection", () => {
  const badVersion = Buffer.from("00020000000111030002" + "7b7d", "hex");
  it.each<[string, string, Buffer]>([
    ["an unknown version", "version", badVersion],
    ["an unknown code", "unknown_code", handFrame(0x1105, 1, {})],
    ["a code of Ak", "unknown_code", handFrame(0x2101, 1, {})],
    ["bad JSON", "json", handFrame(0x1103, 1, "{")],
    ["JSON that is no object", "json", handFrame(0x1103, 1, "[]")],
    ["no UTF-8", "json", Buffer.from("00010000000111030004" + "7b22ff7d", "hex")],
    ["an answer with bad JSON", "json", handFrame(0x1102, 1, "nul")],
  ])("%s is logged, counted as %s, and closes", async (_, reason, bytes) => {
    const { session, hand, ports } = withHand();
    const fault = faultOf(session.relay(offer(), 1_000));
    hand.send(Buffer.concat([bytes, handFrame(0x1103, 2, TELL_JSON)]));
    expect((await fault).code).toBe("PEER_UNAVAILABLE");
    await until("the close", () => hand.closedBecause !== undefined);
    expect(ports.count("frames_refused", { door: "kx", reason })).toBe(1);
    expect(ports.lines.filter(({ level }) => level === "warn")).toHaveLength(1);
    expect(ports.events.happened).toEqual([]);
    await session.gone;
  });

  it("a MessageID that the peer uses for two open requests closes", async () => {
    const { hand, ports, session } = withHand();
    ports.events.onTold = () => new Promise(() => {});
    hand.send(handFrame(0x1103, 5, TELL_JSON));
    hand.send(handFrame(0x1101, 5, RELAY_JSON));
    await session.gone;
    expect(ports.count("frames_refused", { reason: "message_id" })).toBe(1);
  });

  it("a frame cut in the middle leaves no buffer behind", async () => {
    const { hand, ports, session } = withHand();
    hand.send(handFrame(0x1103, 5, TELL_JSON).subarray(0, 30));
    await until("a gathered frame", () => ports.buffers.lent === 1);
    hand.channel.close("pulled");
    await session.gone;
    expect(ports.buffers.lent).toBe(0);
  });

  it("when all assembly buffers are lent the connection ends with that reason", async () => {
    const { hand, ports, session } = withHand();
    for (let taken = 0; taken < 4; taken += 1) ports.buffers.take();
    hand.send(handFrame(0x1103, 5, TELL_JSON).subarray(0, 30));
    await session.gone;
    expect(ports.count("frames_refused", { reason: "no_buffer" })).toBe(1);
  });
});

describe("the life of a connection", () => {
  it("its end fails all open calls, and later ones at once", async () => {
    const { session, hand, ports } = withHand();
    const open = [faultOf(session.relay(offer(), 1_000)), faultOf(session.tell([MARKS], 1_000))];
    hand.channel.close("gone home");
    const codes = (await Promise.all(open)).map(({ code }) => code);
    expect(codes).toEqual(["PEER_UNAVAILABLE", "PEER_UNAVAILABLE"]);
    expect((await faultOf(session.tell([], 1_000))).code).toBe("PEER_UNAVAILABLE");
    expect(await session.ended).toBe("closed by the peer");
    await session.gone;
    expect(ports.clock.waiting).toBe(0);
  });

  it("an answer that is ready after the end goes nowhere", async () => {
    const { session, hand, ports, near } = withHand();
    const gate = Promise.withResolvers<void>();
    ports.events.onTold = () => gate.promise;
    hand.send(handFrame(0x1103, 5, TELL_JSON));
    await until("the tell", () => ports.events.tells.length === 1);
    session.close("enough");
    gate.resolve();
    await session.gone;
    await settled();
    expect(near.writes).toEqual([]);
  });

  it("a call on a connection whose end has begun fails like the others", async () => {
    const { session, near } = withHand();
    near.ending = true;
    expect((await faultOf(session.tell([MARKS], 1_000))).code).toBe("PEER_UNAVAILABLE");
    expect(session.endedBecause).toBe("the connection takes no more");
    near.end("gone");
    await session.gone;
  });

  it("after 5 s of silence the peer is asked for a sign of life; 5 s more end the connection", async () => {
    const { session, hand, ports } = withHand();
    await ports.clock.run(4_999);
    expect(hand.frames).toEqual([]);
    await ports.clock.run(1);
    const frame = await hand.next(0x1103);
    expect(frame.json).toEqual({ session_ID: "", number_of_keys: 0, extension: [] });
    hand.answer(frame, 0x1104, { session_ID: "", key_ID: "", response: "success" });
    await ports.clock.run(9_999);
    expect(session.endedBecause).toBeUndefined();
    await hand.next(0x1103);
    await ports.clock.run(1);
    expect(await session.ended).toBe("the peer is silent");
    expect(ports.clock.waiting).toBe(0);
  });

  it("a peer that is heard but answers late is not silent", async () => {
    const { session, hand, ports } = withHand();
    for (let id = 0; id < 10; id += 1) {
      hand.send(handFrame(0x1103, id, TELL_JSON));
      await hand.next(0x1104);
      await ports.clock.run(4_000);
    }
    expect(hand.frames).toEqual([]);
    await ports.clock.run(1_000);
    await hand.next(0x1103);
    hand.send(handFrame(0x1103, 11, TELL_JSON));
    await ports.clock.run(5_000);
    expect(session.endedBecause).toBeUndefined();
    session.close("end of test");
  });
});

describe("two of ours", () => {
  function pair(options: MemoryOptions = {}) {
    const near = new TestPorts(new ManualClock());
    const far = new TestPorts(near.clock);
    const [atA, atB] = memoryPair(A, B, options);
    const a = new KxSession(atA, { self: A, peer: B, dialect: "extended", defaultKeyBits: 256 }, near);
    const b = new KxSession(atB, { self: B, peer: A, dialect: "extended", defaultKeyBits: 256 }, far);
    return { a, b, near, far, atA, atB };
  }

  it.each([1, 2, 3, 7, 10, 11, 64, 16_384])("relays and tells cross in chunks of %i bytes", async (chunkBytes) => {
    const { a, b, near, far } = pair({ chunkBytes });
    const results = await Promise.all([
      a.relay(offer(), 1_000),
      b.relay(offer({ source: B, destination: A, transit: ids("km-x") }), 1_000),
      a.tell([MARKS, { name: "qkm_state", text: "schön" }], 1_000),
      b.tell([MARKS], 1_000),
    ]);
    expect(results.slice(0, 2)).toEqual([1, 2].map(() => ({ keyId: KEY_ID, tag: END_TAG })));
    expect(far.events.offers).toEqual([offer()]);
    expect(near.events.tells).toEqual([[MARKS]]);
    expect(far.events.tells).toEqual([[MARKS, { name: "qkm_state", text: "schön" }]]);
    a.close("end of test");
    await Promise.all([a.gone, b.gone]);
    expect(near.clock.waiting).toBe(0);
    expect([near.buffers.lent, far.buffers.lent]).toEqual([0, 0]);
  });

  it("when both have much to say, reading gets a turn between writes of at most one full frame", async () => {
    const { a, b, near, far, atA, atB } = pair();
    const entry = { name: "x", text: "y".repeat(30_000) };
    const tells = Array.from({ length: 12 }, () => [a.tell([entry], 60_000), b.tell([entry], 60_000)]).flat();
    for (let ms = 0; ms < 40; ms += 1) await near.clock.run(1);
    await Promise.all(tells);
    expect(near.events.tells).toHaveLength(12);
    expect(far.events.tells).toHaveLength(12);
    for (const { length } of [...atA.writes, ...atB.writes]) expect(length).toBeLessThanOrEqual(65_545);
    a.close("end of test");
    await b.gone;
  });
});
