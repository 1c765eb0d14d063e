// Conversations by the tables of Q.4163 clause 8, written down once more by hand: every message, every parameter.

import { describe, expect, it } from "vitest";
import { appId, kmId, linkId } from "../../src/core/ids.ts";
import type { KxSession } from "../../src/kx/session.ts";
import { until } from "../support/until.ts";
import { type Dialogue, withHand } from "./dialogue.ts";
import { KEY_ID, offer, TAG, TAG_BASE64 } from "./fixture.ts";
import { handFrame } from "./hand-peer.ts";

type Json = Readonly<Record<string, unknown>>;

interface Request {
  readonly title: string;
  readonly code: number;
  readonly answer: number;
  readonly dialect: "extended" | "strict";
  /** With every parameter. */
  readonly json: Json;
  readonly mandatory: readonly string[];
  readonly optional: readonly string[];
}

const PROTECTION = {
  scheme: "otp",
  pads: [{ link: "bc", run: 3, sequence: 7, offset: 0, length: 48 }],
  tag: TAG_BASE64,
};
const RELAY: Json = {
  source_KMA_ID: "km-b",
  destination_KMA_ID: "km-a",
  transit_KMA_IDs: "km-x,km-y",
  keys: [{ key_ID: KEY_ID, key: "AAECAwQFBgcICQoLDA0ODw==", key_extension: { protection: PROTECTION } }],
  key_relay_request_ID: "r-1",
  extension: [{ name: "qkm_given_up", serials: "1-3" }],
};
const RELAY_NEEDS = {
  mandatory: ["source_KMA_ID", "destination_KMA_ID", "keys"],
  optional: ["transit_KMA_IDs", "key_relay_request_ID", "extension"],
};

/** Tables 1 and 3. */
const REQUESTS: readonly Request[] = [
  { title: "8.1 of an extended peer", code: 0x1101, answer: 0x1102, dialect: "extended", json: RELAY, ...RELAY_NEEDS },
  {
    title: "8.1 of a strict peer",
    code: 0x1101,
    answer: 0x1102,
    dialect: "strict",
    json: { ...RELAY, keys: [{ key_ID: "one", key: "AAEC", key_extension: { hash: "x" } }] },
    ...RELAY_NEEDS,
  },
  {
    title: "8.3",
    code: 0x1103,
    answer: 0x1104,
    dialect: "extended",
    json: { session_ID: "s-1", number_of_keys: 1, size_of_key: 256, extension: [{ name: "elsewhere" }] },
    mandatory: ["session_ID"],
    optional: ["number_of_keys", "size_of_key", "extension"],
  },
];

/** Of each type a value that no parameter of another type may have. */
const WRONG: Readonly<Record<string, readonly unknown[]>> = {
  source_KMA_ID: [null, 1, true, [], {}, "", "km b"],
  destination_KMA_ID: [null, 1, true, [], {}, "", "km b"],
  transit_KMA_IDs: [null, 1, true, {}, [1], ["km b"], "km-x,"],
  keys: [null, 1, true, "x", {}, [], [1], [{}], [{ key_ID: "x" }], [{ key: "AAEC" }], [{ key_ID: 1, key: "AAEC" }]],
  key_relay_request_ID: [null, 1, true, [], {}],
  session_ID: [null, 1, true, [], {}],
  number_of_keys: [null, "1", true, [], {}, -1, 1.5],
  size_of_key: [null, "256", true, [], {}, -1, 1.5],
  extension: [null, 1, true, "x", {}, [1], ["x"], [[]]],
  response: [null, 1, true, [], {}],
  key_ID: [null, 1, true, [], {}],
};

/** Null is the same as absent. */
const wrongFor = (name: string, isMandatory: boolean): readonly unknown[] =>
  (WRONG[name] ?? []).filter((value) => value !== null || isMandatory);

function without(json: Json, name: string): Json {
  const { [name]: _, ...rest } = json;
  return rest;
}

/** Sends one request, and gives the `response` of its answer. */
async function asked({ code, answer, dialect }: Request, json: Json): Promise<string> {
  const { hand, ports, session } = withHand({ dialect });
  hand.send(handFrame(code, 9, json));
  const frame = await hand.next(answer);
  expect(frame.messageId).toBe(9);
  expect(session.endedBecause).toBeUndefined();
  expect(ports.events.happened).toHaveLength(frame.json.response === "success" ? 1 : 0);
  expect(ports.lines.filter(({ level }) => level === "error")).toEqual([]);
  return String(frame.json.response);
}

describe.each(REQUESTS)("Q.4163 $title", (request) => {
  const { json, mandatory, optional, code, dialect } = request;

  it("is accepted with every parameter, with those that are mandatory alone, and with more", async () => {
    expect(Object.keys(json).sort()).toEqual([...mandatory, ...optional].sort());
    expect(await asked(request, json)).toBe("success");
    expect(await asked(request, optional.reduce(without, json))).toBe("success");
    expect(await asked(request, { ...json, unknown: { a: [1] }, Extension: 7 })).toBe("success");
  });

  it.each(optional)("is accepted without %s, and when it is null", async (name) => {
    expect(await asked(request, without(json, name))).toBe("success");
    expect(await asked(request, { ...json, [name]: null })).toBe("success");
  });

  it.each(mandatory)("is refused without %s", async (name) => {
    expect(await asked(request, without(json, name))).toMatch(/^(MALFORMED_REQUEST|PROTECTION_REFUSED): /);
  });

  const wrong = [...mandatory, ...optional].flatMap((name) =>
    wrongFor(name, mandatory.includes(name)).map((value) => [name, value] as const),
  );
  it.each(wrong)("is refused when %s is %j", async (name, value) => {
    expect(await asked(request, { ...json, [name]: value })).toMatch(/^(MALFORMED_REQUEST|PROTECTION_REFUSED): /);
  });

  it("does nothing when it is cut at any byte", async () => {
    const whole = handFrame(code, 9, json);
    for (let cut = 0; cut < whole.length; cut += 1) {
      const { hand, ports, session } = withHand({ dialect });
      hand.send(whole.subarray(0, cut));
      hand.channel.close("cut");
      await session.gone;
      expect(ports.events.happened).toEqual([]);
      expect([ports.buffers.lent, ports.clock.waiting]).toEqual([0, 0]);
    }
  });

  it("is understood in frames of every length, and in chunks of any size", async () => {
    const text = JSON.stringify(json);
    const lengths = [
      ...Array.from({ length: 40 }, (_, more) => text.length + more),
      16_373,
      16_374,
      16_375,
      65_534,
      65_535,
    ];
    for (const [index, length] of lengths.entries()) {
      const { hand } = withHand({ dialect, chunkBytes: 1 + ((index * 37) % 500) });
      hand.send(handFrame(code, index, text.padEnd(length)));
      const frame = await hand.next(request.answer);
      expect([frame.messageId, frame.json.response]).toEqual([index, "success"]);
    }
  });
});

interface Answer {
  readonly title: string;
  readonly code: number;
  readonly request: number;
  readonly json: Json;
  readonly mandatory: readonly string[];
  readonly optional: readonly string[];
  readonly ask: (session: KxSession) => Promise<unknown>;
}

const confirm = { name: "qkm_confirm", keys: [{ key_ID: KEY_ID, tag: TAG_BASE64 }] };

/** Tables 2 and 4. Whatever asked, the parameters are the same. */
const ANSWERS: readonly Answer[] = [
  {
    title: "8.2",
    code: 0x1102,
    request: 0x1101,
    json: { response: "success", key_relay_request_ID: "r-1", extension: [confirm, { name: "elsewhere" }] },
    mandatory: ["response"],
    optional: ["key_relay_request_ID"],
    ask: (session) => session.relay(offer(), 1_000),
  },
  {
    title: "8.2 after pads",
    code: 0x1102,
    request: 0x1101,
    json: { response: "success", key_relay_request_ID: "r-1", extension: [confirm] },
    mandatory: ["response"],
    optional: ["key_relay_request_ID"],
    ask: (session) => session.relay(padded(), 1_000),
  },
  ...(
    [
      ["a tell", (session) => session.tell([{ name: "x" }], 1_000)],
      [
        "a creation",
        (session) =>
          session.createSession(
            { sessionId: "", initiator: APP, destination: APP, applicationName: undefined, budget: undefined },
            1_000,
          ),
      ],
      ["a wish", (session) => session.notifySession({ sessionId: "", count: 1, sizeBits: 256 }, 1_000)],
    ] as const satisfies readonly (readonly [string, Answer["ask"]])[]
  ).map(([what, ask]) => ({
    title: `8.4 after ${what}`,
    code: 0x1104,
    request: 0x1103,
    json: { session_ID: "", key_ID: "", response: "success", extension: [{ name: "elsewhere" }] },
    mandatory: ["session_ID", "key_ID", "response"],
    optional: ["extension"],
    ask,
  })),
];

const APP = appId("app-a1");
const padded = () =>
  offer({
    source: kmId("km-a"),
    protection: {
      scheme: "otp",
      pads: [{ link: linkId("bc"), run: 3, sequence: 7, offset: 0, length: 48 }],
      tag: TAG,
    },
    key: TAG,
  });

/** Answers one request of ours: the fault that comes of it, if any. */
async function answered({ ask, request, code }: Answer, json: Json): Promise<string | undefined> {
  const { session, hand } = withHand();
  const outcome = ask(session).then(
    () => undefined,
    (thrown: { readonly code: string }) => thrown.code,
  );
  hand.answer(await hand.next(request), code, json);
  const fault = await outcome;
  expect(session.endedBecause).toBeUndefined();
  return fault;
}

describe.each(ANSWERS)("Q.4163 $title", (answer) => {
  const { json, mandatory, optional, code } = answer;

  it("is accepted with every parameter, without those that are optional, and with more", async () => {
    expect(await answered(answer, json)).toBeUndefined();
    expect(await answered(answer, optional.reduce(without, json))).toBeUndefined();
    expect(await answered(answer, { ...json, unknown: null })).toBeUndefined();
  });

  it.each(mandatory)("without %s fails the request that it answers", async (name) => {
    expect(await answered(answer, without(json, name))).toBe("INTERNAL");
  });

  const names = [...new Set([...mandatory, ...optional, "extension"])];
  const wrong = names.flatMap((name) =>
    wrongFor(name, mandatory.includes(name)).map((value) => [name, value] as const),
  );
  it.each(wrong)("whose %s is %j fails the request that it answers", async (name, value) => {
    expect(await answered(answer, { ...json, [name]: value })).toBe("INTERNAL");
  });

  it("twice, or to a MessageID of no open request, is dropped and counted", async () => {
    const { session, hand, ports }: Dialogue = withHand();
    const outcome = answer.ask(session);
    const frame = await hand.next(answer.request);
    hand.send(handFrame(code, frame.messageId + 1, json));
    hand.answer(frame, code, json);
    hand.answer(frame, code, json);
    await outcome;
    await until("two dropped answers", () => ports.count("answers_dropped", { door: "kx" }) === 2);
  });

  it("cut at any byte answers nothing", async () => {
    const whole = handFrame(code, 1, json);
    for (let cut = 0; cut < whole.length; cut += 1) {
      const { session, hand, ports } = withHand();
      const outcome = answer.ask(session).then(
        () => "answered",
        (thrown: { readonly code: string }) => thrown.code,
      );
      hand.send(whole.subarray(0, cut));
      hand.channel.close("cut");
      expect(await outcome).toBe("PEER_UNAVAILABLE");
      await session.gone;
      expect([ports.buffers.lent, ports.clock.waiting]).toEqual([0, 0]);
    }
  });
});
