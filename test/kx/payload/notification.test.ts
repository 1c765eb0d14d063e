// Sessions over Kx with a peer that is written by hand: creation, wishes, and every way in which answers go wrong.

import { describe, expect, it } from "vitest";
import { Fault } from "../../../src/core/fault.ts";
import { appId } from "../../../src/core/ids.ts";
import type { PeerKeysRequest, SessionCreation } from "../../../src/keys/ports/sessions.ts";
import { MAX_SESSION_CALLS } from "../../../src/kx/calls.ts";
import { settled } from "../../support/manual-clock.ts";
import { until } from "../../support/until.ts";
import { type Dialogue, withHand } from "../dialogue.ts";
import { faultOf } from "../fixture.ts";
import { type HandFrame, handFrame } from "../hand-peer.ts";

const CREATION: SessionCreation = {
  sessionId: "s-1",
  initiator: appId("app-a1"),
  destination: appId("app-b1"),
  applicationName: "encryptor",
  budget: 100,
};
const ENTRY = {
  name: "session_creation",
  application_source_ID: "app-a1",
  application_destination_ID: "app-b1",
  application_name: "encryptor",
  number_of_keys: 100,
};
const CREATION_JSON = { session_ID: "s-1", number_of_keys: 0, extension: [ENTRY] };

const WISH: PeerKeysRequest = { sessionId: "s-1", count: 3, sizeBits: 512 };
const WISH_JSON = { session_ID: "s-1", number_of_keys: 3, size_of_key: 512 };

const receipt = (key_ID: string, response = "success"): object => ({ session_ID: "s-1", key_ID, response });
const list = (key_IDs: unknown): object => ({ ...receipt(""), extension: [{ name: "key_IDs", key_IDs }] });

describe("sessions that we create", () => {
  it("key-protocol 5: a creation leaves as 0x1103 with number_of_keys 0, and one 0x1104 ends it", async () => {
    const { session, hand } = withHand();
    const created = session.createSession(CREATION, 1_000);
    const frame = await hand.next(0x1103);
    expect(frame.json).toEqual(CREATION_JSON);
    hand.answer(frame, 0x1104, receipt(""));
    await created;
  });

  it("key-protocol 5: name and budget are left out when there are none", async () => {
    const { session, hand } = withHand();
    const created = session.createSession({ ...CREATION, applicationName: undefined, budget: undefined }, 1_000);
    const frame = await hand.next(0x1103);
    const { application_name: _, number_of_keys: __, ...entry } = ENTRY;
    expect(frame.json.extension).toEqual([entry]);
    hand.answer(frame, 0x1104, receipt("", "UNKNOWN_APPLICATION: no such app"));
    expect(await faultOf(created)).toMatchObject({ code: "UNKNOWN_APPLICATION", message: "no such app" });
  });

  it("one that is not answered ends as PEER_UNAVAILABLE", async () => {
    const { session, hand, ports } = withHand();
    const fault = faultOf(session.createSession(CREATION, 1_000));
    await hand.next(0x1103);
    ports.clock.advance(1_000);
    expect((await fault).code).toBe("PEER_UNAVAILABLE");
  });
});

it("sessions beyond their share of the open requests are BUSY, and leave room for what the two KMs tell each other", async () => {
  const { session, hand } = withHand();
  const open = Array.from({ length: MAX_SESSION_CALLS }, () => faultOf(session.notifySession(WISH, 1_000)));
  expect((await faultOf(session.notifySession(WISH, 1_000))).code).toBe("BUSY");
  expect((await faultOf(session.createSession(CREATION, 1_000))).code).toBe("BUSY");
  const told = session.tell([{ name: "x" }], 1_000);
  for (let wish = 0; wish < MAX_SESSION_CALLS; wish++) await hand.next(0x1103);
  hand.answer(await hand.next(0x1103), 0x1104, { session_ID: "", key_ID: "", response: "success" });
  await told;
  session.close("end of test");
  expect(new Set((await Promise.all(open)).map(({ code }) => code))).toEqual(new Set(["PEER_UNAVAILABLE"]));
});

describe("keys that we wish for in a session", () => {
  /** A wish, and the frame that it left as. */
  async function wished(change: Partial<PeerKeysRequest> = {}) {
    const dialogue = withHand();
    const acknowledged = dialogue.session.notifySession({ ...WISH, ...change }, 1_000);
    acknowledged.catch(() => {});
    return { ...dialogue, acknowledged, frame: await dialogue.hand.next(0x1103) };
  }

  const answerAll = ({ hand }: Dialogue, frame: HandFrame, answers: readonly object[]): void => {
    for (const answer of answers) hand.answer(frame, 0x1104, answer);
  };

  it("Q.4163 8.3, 8.4: one 0x1104 for each key, all with the request's MessageID, end the wish", async () => {
    const { acknowledged, frame, ...dialogue } = await wished();
    expect(frame.json).toEqual(WISH_JSON);
    answerAll(dialogue, frame, [receipt("k-2"), receipt("k-1")]);
    await settled();
    answerAll(dialogue, frame, [receipt("k-3")]);
    expect(await acknowledged).toEqual(["k-2", "k-1", "k-3"]);
  });

  it.each<[string, readonly object[], readonly string[]]>([
    ["a single answer that lists the IDs", [list(["k-1", "k-2", "k-3"])], ["k-1", "k-2", "k-3"]],
    ["a list of fewer than were asked for", [list(["k-1"])], ["k-1"]],
    ["an empty list", [list([])], []],
    ["a list of objects as in 0x2102", [list([{ key_ID: "k-1" }, { key_ID: "k-2" }])], ["k-1", "k-2"]],
    ["a list that names its key_ID too", [{ ...list(["k-1", "k-2"]), key_ID: "k-1" }], ["k-1", "k-2"]],
    ["one key, then a list of the rest", [receipt("k-1"), list(["k-2", "k-3"])], ["k-1", "k-2", "k-3"]],
    ["two keys and an answer that names none", [receipt("k-1"), receipt("k-2"), receipt("")], ["k-1", "k-2"]],
    ["one key and a refusal of the rest", [receipt("k-1"), receipt("", "INSUFFICIENT_KEYS: no more")], ["k-1"]],
    ["an answer that names none", [receipt("")], []],
    [
      "a key that the application did not take",
      [receipt("k-1"), receipt("k-2", "NOT_AUTHORIZED: not taken"), receipt("k-3")],
      ["k-1", "k-3"],
    ],
  ])("%s is understood", async (_, answers, keyIds) => {
    const { acknowledged, frame, ...dialogue } = await wished();
    answerAll(dialogue, frame, answers);
    expect(await acknowledged).toEqual(keyIds);
    expect(dialogue.ports.count("answers_dropped", { door: "kx" })).toBe(0);
  });

  it("a refusal of the whole is its fault", async () => {
    const { acknowledged, frame, ...dialogue } = await wished();
    answerAll(dialogue, frame, [receipt("", "INSUFFICIENT_KEYS: the budget is spent")]);
    expect(await faultOf(acknowledged)).toMatchObject({ code: "INSUFFICIENT_KEYS", message: "the budget is spent" });
  });

  it("an answer that names a key once more, and one that comes when all have come, are dropped and counted", async () => {
    const { acknowledged, frame, ...dialogue } = await wished({ count: 2 });
    answerAll(dialogue, frame, [receipt("k-1"), receipt("k-1"), receipt("k-2"), receipt("k-3")]);
    expect(await acknowledged).toEqual(["k-1", "k-2"]);
    await until("two dropped", () => dialogue.ports.count("answers_dropped", { door: "kx" }) === 2);
    expect(dialogue.session.endedBecause).toBeUndefined();
  });

  it.each<[string, object]>([
    ["another session", { ...receipt("k-1"), session_ID: "s-2" }],
    ["no session", { key_ID: "k-1", response: "success" }],
    ["no key_ID", { session_ID: "s-1", response: "success" }],
    ["no response", { session_ID: "s-1", key_ID: "k-1" }],
    ["a key_ID that is a number", { ...receipt("k-1"), key_ID: 7 }],
    ["a key_ID of 257 characters", receipt("k".repeat(257))],
    ["more keys than were asked for", list(["k-1", "k-2", "k-3", "k-4"])],
    ["a list that is text", list("k-1")],
    ["a list of numbers", list([1])],
    ["a list with an empty ID", list([""])],
    ["two lists", { ...receipt(""), extension: [0, 1].map(() => ({ name: "key_IDs", key_IDs: [] })) }],
    ["an entry without name", { ...receipt("k-1"), extension: [{}] }],
  ])("an answer with %s fails that wish alone", async (_, answer) => {
    const { acknowledged, frame, ...dialogue } = await wished();
    answerAll(dialogue, frame, [answer]);
    expect((await faultOf(acknowledged)).code).toBe("INTERNAL");
    expect(dialogue.session.endedBecause).toBeUndefined();
  });

  it("one whose answers do not all come ends as PEER_UNAVAILABLE, and what comes later is dropped", async () => {
    const { acknowledged, frame, ...dialogue } = await wished();
    answerAll(dialogue, frame, [receipt("k-1"), receipt("k-2")]);
    await settled();
    dialogue.ports.clock.advance(1_000);
    expect((await faultOf(acknowledged)).code).toBe("PEER_UNAVAILABLE");
    answerAll(dialogue, frame, [receipt("k-3")]);
    await until("a dropped answer", () => dialogue.ports.count("answers_dropped", { door: "kx" }) === 1);
  });

  it("the end of the connection ends a wish that is answered in part", async () => {
    const { acknowledged, frame, ...dialogue } = await wished();
    answerAll(dialogue, frame, [receipt("k-1")]);
    await settled();
    dialogue.hand.channel.close("gone");
    expect((await faultOf(acknowledged)).code).toBe("PEER_UNAVAILABLE");
    await dialogue.session.gone;
    expect(dialogue.ports.clock.waiting).toBe(0);
  });
});

describe("sessions of the peer", () => {
  it("key-protocol 5: a creation reaches the key manager, and is answered with an empty key_ID", async () => {
    const { hand, ports } = withHand();
    hand.send(handFrame(0x1103, 9, CREATION_JSON));
    expect(await hand.next(0x1104)).toMatchObject({ messageId: 9, json: receipt("") });
    expect(ports.events.creations).toEqual([CREATION]);
  });

  it("key-protocol 5: name, budget and number_of_keys may be missing, and other entries there", async () => {
    const { hand, ports } = withHand();
    const { application_name: _, number_of_keys: __, ...entry } = ENTRY;
    hand.send(handFrame(0x1103, 9, { session_ID: "s-1", extension: [{ name: "other" }, entry] }));
    await hand.next(0x1104);
    expect(ports.events.creations).toEqual([{ ...CREATION, applicationName: undefined, budget: undefined }]);
  });

  it("one that the key manager refuses is answered with the reason", async () => {
    const { hand, ports } = withHand();
    ports.events.onCreated = () => Promise.reject(new Fault("UNKNOWN_APPLICATION", { text: "no such app" }));
    hand.send(handFrame(0x1103, 9, CREATION_JSON));
    expect((await hand.next(0x1104)).json).toEqual(receipt("", "UNKNOWN_APPLICATION: no such app"));
  });

  it("Q.4163 8.4: a wish is answered by one 0x1104 for each key acknowledged, and one more that names none for the rest", async () => {
    const { hand, ports } = withHand();
    ports.events.onNotified = async () => ["k-1", "k-2"];
    hand.send(handFrame(0x1103, 9, WISH_JSON));
    const frames = [await hand.next(0x1104), await hand.next(0x1104), await hand.next(0x1104)];
    expect(frames.map(({ messageId }) => messageId)).toEqual([9, 9, 9]);
    expect(frames.map(({ json }) => json)).toEqual([receipt("k-1"), receipt("k-2"), receipt("")]);
    expect(ports.events.wishes).toEqual([WISH]);
  });

  it("Q.4163 8.4: when all are acknowledged there is no more than one for each", async () => {
    const { hand } = withHand();
    hand.send(handFrame(0x1103, 9, WISH_JSON));
    hand.send(handFrame(0x1103, 10, CREATION_JSON));
    await until("the answer to the creation", () => hand.frames.some(({ messageId }) => messageId === 10));
    const answers = hand.frames.filter(({ messageId }) => messageId === 9);
    expect(answers.map(({ json }) => json.key_ID)).toEqual(["key-1", "key-2", "key-3"]);
  });

  it("Q.4163 8.3: without number and size it is one key of the configured size", async () => {
    const { hand, ports } = withHand();
    hand.send(handFrame(0x1103, 9, { session_ID: "s-1" }));
    await hand.next(0x1104);
    expect(ports.events.wishes).toEqual([{ sessionId: "s-1", count: 1, sizeBits: 256 }]);
  });

  it.each<[string, object]>([
    ["no session_ID", { number_of_keys: 3 }],
    ["a session_ID that is a number", { session_ID: 7 }],
    ["a session_ID of 257 characters", { session_ID: "s".repeat(257) }],
    ["keys but no session", { session_ID: "", number_of_keys: 3 }],
    ["no session and no number", { session_ID: "" }],
    ["0 keys and no creation", { session_ID: "s-1", number_of_keys: 0 }],
    ["1,025 keys", { session_ID: "s-1", number_of_keys: 1_025 }],
    ["half a key", { session_ID: "s-1", number_of_keys: 0.5 }],
    ["a size in text", { session_ID: "s-1", size_of_key: "256" }],
    ["a creation and keys", { ...CREATION_JSON, number_of_keys: 1 }],
    ["two creations", { ...CREATION_JSON, extension: [ENTRY, ENTRY] }],
    ["a creation of no app", { ...CREATION_JSON, extension: [{ ...ENTRY, application_source_ID: undefined }] }],
    ["a creation for a number", { ...CREATION_JSON, extension: [{ ...ENTRY, application_destination_ID: 7 }] }],
    ["a creation by no ID", { ...CREATION_JSON, extension: [{ ...ENTRY, application_source_ID: "app a1" }] }],
    ["a name of 257 characters", { ...CREATION_JSON, extension: [{ ...ENTRY, application_name: "n".repeat(257) }] }],
    ["a negative budget", { ...CREATION_JSON, extension: [{ ...ENTRY, number_of_keys: -1 }] }],
  ])("a 0x1103 with %s is MALFORMED_REQUEST and goes no further", async (_, json) => {
    const { hand, ports, session } = withHand();
    hand.send(handFrame(0x1103, 3, json));
    const answer = await hand.next(0x1104);
    expect(answer.json.response).toMatch(/^MALFORMED_REQUEST: /);
    expect(answer.json.key_ID).toBe("");
    expect(ports.events.happened).toEqual([]);
    expect(session.endedBecause).toBeUndefined();
  });

  it("a MessageID that a wish is still open under closes the connection", async () => {
    const { hand, ports, session } = withHand();
    ports.events.onNotified = () => new Promise(() => {});
    hand.send(handFrame(0x1103, 5, WISH_JSON));
    hand.send(handFrame(0x1103, 5, WISH_JSON));
    await session.gone;
    expect(ports.count("frames_refused", { reason: "message_id" })).toBe(1);
  });

  it("a MessageID may come again once its answers have left", async () => {
    const { hand } = withHand();
    for (let round = 0; round < 3; round += 1) {
      hand.send(handFrame(0x1103, 5, { ...WISH_JSON, number_of_keys: 1 }));
      expect((await hand.next(0x1104)).messageId).toBe(5);
    }
  });
});
