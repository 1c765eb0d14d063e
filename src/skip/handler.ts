// One request of an authenticated encryptor: read, asked of the key manager, answered.

import { asFault, FAULTS, Fault, type FaultCode } from "../core/fault.ts";
import type { AppId } from "../core/ids.ts";
import type { Log, Meter } from "../core/ports.ts";
import type { Handler } from "../http/connection.ts";
import type { Exchange, KeyFormat } from "../http/exchange.ts";
import type { Answer, Grant, KeyDoor } from "../keys/ports/keys.ts";
import { ENTROPY_OBJECT, entropyGrant, KEY_OBJECT } from "./layout.ts";
import { type Remote, remoteFor } from "./remotes.ts";
import { readRequest, type SkipRequest } from "./request.ts";

/** What the door says of itself and of the others. */
export interface Systems {
  /** The `localSystemID`. */
  readonly local: string;
  readonly remotes: readonly Remote[];
}

/** What answers are made from. */
export interface HandlerPorts {
  readonly door: KeyDoor;
  readonly log: Log;
  readonly meter: Meter;
}

interface Call extends HandlerPorts {
  readonly systems: Systems;
  readonly exchange: Exchange;
}

/** Answers the requests of Cisco SKIP: capabilities, key, key by ID, entropy. */
export const makeHandler =
  (systems: Systems, ports: HandlerPorts): Handler =>
  (exchange) =>
    attempt({ ...ports, systems, exchange });

function attempt(call: Call): void {
  const { exchange } = call;
  const { turnedAway, head } = exchange;
  try {
    if (turnedAway !== undefined) {
      turnAway(call, turnedAway);
      return;
    }
    const asked = readRequest(head.target);
    if (asked === undefined) say(call, 404, "there is no such path; see draft-cisco-skip 4");
    else if (head.method === "GET") serve(call, asked);
    else exchange.sendText(405, '{"message":"the method is GET"}', { Allow: "GET" });
  } catch (thrown) {
    refuse(call, thrown);
  }
}

/** Whoever may not ask anything here: what it asks is not looked at. */
function turnAway(call: Call, fault: Fault): void {
  if (fault.code === "BUSY") refuse(call, fault);
  else say(call, 401, fault.message);
}

const say = ({ exchange }: Call, status: number, message: string): void =>
  exchange.sendText(status, JSON.stringify({ message }));

function serve(call: Call, asked: SkipRequest): void {
  const { door, exchange, systems } = call;
  const { app } = exchange;
  switch (asked.kind) {
    case "capabilities":
      exchange.sendText(200, capabilitiesText(systems));
      break;
    case "entropy":
      send(call, entropyGrant(asked.bits), ENTROPY_OBJECT);
      break;
    case "key": {
      const { sizeBits } = asked;
      const destination = appOf(systems, asked.remote);
      exchange.whenGone(door.supply({ door: "skip", app, destination, count: 1, sizeBits }, answerTo(call)));
      break;
    }
    case "keyById": {
      const initiator = appOf(systems, asked.remote);
      exchange.whenGone(door.fetch({ door: "skip", app, initiator, keyIds: [asked.keyId] }, answerTo(call)));
    }
  }
}

const capabilitiesText = ({ local, remotes }: Systems): string =>
  JSON.stringify({
    entropy: true,
    key: true,
    algorithm: "PRF",
    localSystemID: local,
    remoteSystemID: remotes.map(({ system }) => system),
  });

/** @throws Fault UNKNOWN_APPLICATION */
function appOf({ remotes }: Systems, system: string): AppId {
  const remote = remoteFor(remotes, system);
  if (remote !== undefined) return remote.app;
  throw new Fault("UNKNOWN_APPLICATION", { text: "remoteSystemID is none of those in /capabilities" });
}

const answerTo = (call: Call): Answer => ({
  granted: (grant) => send(call, grant, KEY_OBJECT),
  refused: (fault) => refuse(call, fault),
});

function send(call: Call, grant: Grant, layout: KeyFormat): void {
  try {
    call.exchange.sendKeys(grant, layout);
  } catch (thrown) {
    refuse(call, thrown);
  }
}

/** The draft has 500 for a key that cannot be read or destroyed; whoever asks again later is told when. */
const CANNOT_READ: readonly FaultCode[] = ["INTERNAL", "HSM_UNAVAILABLE", "STORE_UNAVAILABLE", "AUDIT_UNAVAILABLE"];

/** In the words of the draft, where the table of faults has another standard's. */
const WORDS: Partial<Readonly<Record<FaultCode, string>>> = {
  KEY_NOT_FOUND: "there is no key of this keyId, or it was had already",
  NOT_AUTHORIZED: "the key of this keyId was not asked for by the remote system, or is for another encryptor",
};

function refuse(call: Call, thrown: unknown): void {
  const fault = asFault(thrown);
  const { code, retryAfterMs } = fault;
  const message = WORDS[code] ?? fault.message;
  call.meter.add("requests_refused", { door: "skip", fault: code });
  if (code === "INTERNAL")
    call.log.error({ door: "skip", err: fault.cause, app: call.exchange.app }, "a request failed");
  const status = CANNOT_READ.includes(code) ? 500 : FAULTS[code].http === 503 ? 503 : 400;
  const more = retryAfterMs === undefined || status === 400 ? {} : { "Retry-After": Math.ceil(retryAfterMs / 1000) };
  call.exchange.sendText(status, JSON.stringify({ message }), more);
}
