// The frames of test/vectors/kx.json: what dialogues of ours say to one another, in every kind of message.

import { Fault } from "../../src/core/fault.ts";
import { appId, linkId } from "../../src/core/ids.ts";
import type { ExtensionEntry, RelayOffer, UnprotectedKey } from "../../src/keys/ports/peers.ts";
import { KX } from "../../src/kx/payload/messages.ts";
import { KxSession } from "../../src/kx/session.ts";
import { byCode } from "../../src/wire/message.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { A, B, C, faultOf, offer, TAG, TestPorts } from "./fixture.ts";
import { handFrame, handParse } from "./hand-peer.ts";
import { memoryPair } from "./memory-channel.ts";

/** One entry of the file. */
export interface Vector {
  readonly message: string;
  readonly title: string;
  readonly messageId: number;
  readonly json: object;
  readonly hex: string;
}

const STATE: readonly ExtensionEntry[] = [
  { name: "qkm_state", part: "begin" },
  { name: "qkm_state", part: "link", link: "ab", share: "1:1", block_bytes: 32768, run: 1, highest: 57 },
  { name: "qkm_state", part: "holds", link: "ab", run: 1, blocks: "41,43-57" },
  { name: "qkm_state", part: "given", given: 5, proved: 4, given_up: "3" },
  { name: "qkm_state", part: "accepted", accepted: 0 },
  { name: "qkm_state", part: "end" },
];

/** 00, 01, 02, … */
const KEY = Uint8Array.from({ length: 64 }, (_, index) => index);

const PADDED: RelayOffer = offer({
  source: C,
  transit: [A],
  protection: {
    scheme: "otp",
    pads: [
      { link: linkId("ab"), run: 1, sequence: 43, offset: 32_736, length: 32 },
      { link: linkId("ab"), run: 1, sequence: 45, offset: 0, length: 64 },
    ],
    tag: TAG,
  },
  key: KEY,
});

const wholeKey = (keyId: string, from: number): UnprotectedKey => ({
  keyId,
  length: 32,
  writeKey(target, at) {
    const letters = Buffer.from(Buffer.from(KEY.subarray(from, from + 32)).toString("base64"), "latin1");
    target.set(letters, at);
    return at + letters.length;
  },
});

const SESSION = "5d5e0f1c2b3a4958";
const KSA_KEYS = ["00000000-0500-8c02-8123-456789abcdef", "00000000-0501-8002-83ff-ffffffffffff"];

/** What no dialogue of ours sends, but each accepts. */
const LISTED = handFrame(KX.keySupplyNotificationResponse.code, 3, {
  session_ID: SESSION,
  key_ID: "",
  response: "success",
  extension: [{ name: "key_IDs", key_IDs: KSA_KEYS.map((key_ID) => ({ key_ID })) }],
});

/** Two dialogues of one dialect; each gives the writes of both ends. */
async function spoken(dialect: "extended" | "strict", talk: (a: KxSession, ports: TestPorts) => Promise<void>) {
  const ports = new TestPorts(new ManualClock());
  const [atA, atB] = memoryPair(A, B);
  const options = { dialect, defaultKeyBits: 256 } as const;
  const a = new KxSession(atA, { self: A, peer: B, ...options }, ports);
  const b = new KxSession(atB, { self: B, peer: A, ...options }, ports);
  await talk(a, ports);
  a.close("all is said");
  await Promise.all([a.gone, b.gone]);
  return { asked: atA.writes.flatMap(framesOf), answered: atB.writes.flatMap(framesOf) };
}

/** Several frames may leave in one write. */
function framesOf(write: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < write.length; ) {
    const end = at + 10 + write.readUInt16BE(at + 8);
    frames.push(write.subarray(at, end));
    at = end;
  }
  return frames;
}

export async function workedVectors(): Promise<readonly Vector[]> {
  const relays = await spoken("extended", async (a, { events }) => {
    await a.relay(offer({ givenUp: "3" }), 1_000);
    events.onRelayed = async () => Promise.reject(new Fault("BLOCK_NOT_HELD"));
    await faultOf(a.relay(offer({ givenUp: "3" }), 1_000));
    await faultOf(a.relay(PADDED, 1_000));
    await faultOf(a.relay(offer({ part: { part: 1, parts: 2 } }), 1_000));
  });
  const whole = await spoken("strict", async (a) => {
    const keys = KSA_KEYS.map((_, index) => wholeKey(`6b65792d-0000-4000-8000-00000000000${index}`, 32 * index));
    await a.relayUnprotected({ requestId: "r-2", source: A, destination: B, transit: [], keys }, 1_000);
  });
  const told = await spoken("extended", async (a, { events }) => {
    await a.tell(STATE, 1_000);
    const [initiator, destination] = [appId("app-a1"), appId("app-b1")];
    const creation = { sessionId: SESSION, initiator, destination, applicationName: "encryptor", budget: 100 };
    await a.createSession(creation, 1_000);
    events.onNotified = async () => KSA_KEYS;
    await a.notifySession({ sessionId: SESSION, count: 3, sizeBits: 256 }, 1_000);
  });
  return [
    vector("A relay under the scheme `link`, which also names a serial given up", relays.asked[0]),
    vector("A relay under the scheme `otp`: the second hop, with a pad of two segments", relays.asked[2]),
    vector("One of two parts of a KMA-key (multipath)", relays.asked[3]),
    vector("Whole keys in the strict dialect", whole.asked[0]),
    vector("A relay's success", relays.answered[0]),
    vector("A relay's failure, and where", relays.answered[1]),
    vector("Success in the strict dialect", whole.answered[0]),
    vector("What two KMs tell each other: a state", told.asked[0]),
    vector("A session is to be created", told.asked[1]),
    vector("Three keys are wanted in a session", told.asked[2]),
    vector("The answer to a state, and to an empty notification", told.answered[0]),
    vector("A session is created", told.answered[1]),
    vector("The destination application received a first key,", told.answered[2]),
    vector("and a second,", told.answered[3]),
    vector("and none for the rest", told.answered[4]),
    vector("Both keys in one answer, as another make may send it", LISTED),
  ];
}

const NAMES = new Map(Object.entries(KX).map(([name, { code }]) => [code, name]));

function vector(title: string, bytes: Buffer | undefined): Vector {
  if (bytes === undefined) throw new Error(`no frame for "${title}"`);
  const { code, messageId, json } = handParse(bytes);
  const message = byCode(KX).has(code) ? NAMES.get(code) : undefined;
  if (message === undefined) throw new Error(`"${title}" is no message of Kx`);
  return { message, title, messageId, json, hex: bytes.toString("hex") };
}
