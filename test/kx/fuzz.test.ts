// Whatever a peer sends, a dialogue answers it or ends in order.

import fc from "fast-check";
import { expect, it } from "vitest";
import { KxSession } from "../../src/kx/session.ts";
import { ManualClock, settled } from "../support/manual-clock.ts";
import { A, B, COMPLETION_JSON, faultOf, offer, RELAY_JSON, TAG_BASE64, TestPorts } from "./fixture.ts";
import { HandPeer, handFrame } from "./hand-peer.ts";
import { memoryPair } from "./memory-channel.ts";

/** One dialogue with an open relay and an open tell, to which `bytes` are sent, in chunks. */
async function dialogue(bytes: Buffer, chunkBytes: number, dialect: "extended" | "strict" = "extended") {
  const ports = new TestPorts(new ManualClock());
  const [near, far] = memoryPair(A, B, { chunkBytes });
  const session = new KxSession(near, { self: A, peer: B, dialect, defaultKeyBits: 256 }, ports);
  const relay =
    dialect === "strict" ? session.relayUnprotected({ ...offer(), keys: [] }, 1_000) : session.relay(offer(), 1_000);
  const calls = [relay, session.tell([{ name: "x" }], 1_000)].map((call) =>
    call.then(
      () => "answered",
      () => "failed",
    ),
  );
  const hand = new HandPeer(far);
  hand.send(bytes);
  await settled(6);
  const endedBecause = session.endedBecause;
  session.close("end of test");
  await Promise.all([...calls, session.gone]);
  expect(ports.clock.waiting).toBe(0);
  expect(ports.buffers.lent).toBe(0);
  expect(ports.lines.filter(({ level }) => level === "error")).toEqual([]);
  return { ports, hand, endedBecause };
}

const chunks = fc.constantFrom(1, 3, 17, 16_384);
const codes = fc.constantFrom(0x1101, 0x1102, 0x1103, 0x1104);

it("random bytes", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), chunks, async (bytes, chunkBytes) => {
      await dialogue(Buffer.from(bytes), chunkBytes);
    }),
    { numRuns: 100 },
  );
});

it("random JSON in well-formed frames is answered with a fault, dropped, or counted as the end", async () => {
  await fc.assert(
    fc.asyncProperty(codes, fc.json(), chunks, async (code, json, chunkBytes) => {
      fc.pre(code !== 0x1101 || !hasEscapes(json));
      const { ports, hand, endedBecause } = await dialogue(handFrame(code, 1, json), chunkBytes);
      const isObject = /^\s*\{/.test(json);
      expect(endedBecause === undefined).toBe(isObject);
      expect(ports.count("frames_refused", { reason: "json" })).toBe(isObject ? 0 : 1);
      const answers = hand.frames.filter((frame) => frame.code === code + 1);
      if (isObject && (code === 0x1101 || code === 0x1103)) expect(answers.length).toBeGreaterThan(0);
      expect(ports.events.happened).toEqual([]);
    }),
    { numRuns: 200 },
  );
});

const [ENTRY] = RELAY_JSON.keys;
const OTP = { scheme: "otp", pads: [{ link: "ab", run: 1, sequence: 2, offset: 3, length: 35 }], tag: TAG_BASE64 };
const OTP_JSON = {
  ...RELAY_JSON,
  keys: [{ ...ENTRY, key: "AAEC", key_extension: { protection: OTP, part: 1, parts: 2 } }],
};
const WHOLE_JSON = { ...RELAY_JSON, keys: ["one", "two"].map((key_ID) => ({ key_ID, key: "AAEC" })) };

it.each([
  ["under the scheme link", RELAY_JSON, "extended"],
  ["under the scheme otp", OTP_JSON, "extended"],
  ["of whole keys", WHOLE_JSON, "strict"],
] as const)(
  "Q.4163 8.1: a relay %s with any one value replaced is refused or arrives, and is answered once",
  async (_, json, dialect) => {
    const paths = pathsOf(json);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), fc.jsonValue(), async (path, value) => {
        const relay = replaced(json, path, value) as object;
        fc.pre(!hasEscapes(JSON.stringify(relay)));
        const { ports, hand, endedBecause } = await dialogue(handFrame(0x1101, 9, relay), 16_384, dialect);
        expect(endedBecause).toBeUndefined();
        const answers = hand.frames.filter((frame) => frame.code === 0x1102);
        expect(answers).toHaveLength(1);
        const accepted = answers[0]?.json.response === "success";
        expect(ports.events.offers.length + ports.events.arrivals.length).toBe(accepted ? 1 : 0);
      }),
      { numRuns: 150 },
    );
  },
);

it("Q.4163 8.2: a completion cut at any byte confirms nothing", async () => {
  const whole = handFrame(0x1102, 1, COMPLETION_JSON);
  for (let cut = 0; cut < whole.length; cut += 1) {
    const ports = new TestPorts(new ManualClock());
    const [near, far] = memoryPair(A, B);
    const session = new KxSession(near, { self: A, peer: B, dialect: "extended", defaultKeyBits: 256 }, ports);
    const fault = faultOf(session.relay(offer(), 1_000));
    const hand = new HandPeer(far);
    hand.send(whole.subarray(0, cut));
    hand.channel.close("cut");
    expect((await fault).code).toBe("PEER_UNAVAILABLE");
    await session.gone;
    expect(ports.buffers.lent).toBe(0);
  }
});

/** Names with escapes in a message with keys end the connection: see the tests of `parseKeyPayload`. */
const hasEscapes = (json: string): boolean => json.includes("\\");

type Path = readonly (string | number)[];

/** Ways to every value within a JSON value, but the whole. */
function pathsOf(json: unknown): Path[] {
  if (typeof json !== "object" || json === null) return [];
  return Object.entries(json).flatMap(([name, value]) => [[name], ...pathsOf(value).map((path) => [name, ...path])]);
}

function replaced(json: unknown, [name, ...rest]: Path, value: unknown): unknown {
  if (name === undefined) return value;
  const copy = structuredClone(json) as Record<string | number, unknown>;
  copy[name] = replaced(copy[name], rest, value);
  return copy;
}
