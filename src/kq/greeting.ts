// The hellos of both ends: how they are made, read and compared.

import type { Secret } from "../core/memory/secret.ts";
import type { Random } from "../core/ports.ts";
import { Reader } from "./codec.ts";
import { type Guard, helloGuard } from "./guard.ts";
import { KQ_VERSION, NONCE_BYTES } from "./limits.ts";
import { encode, type Hello, KQ, SIDES, type Side } from "./messages.ts";
import { NO_NONCE, NO_PROOF, proofOf, proves } from "./pairing.ts";

/** What an end says of itself in every hello. */
export interface Self {
  readonly side: Side;
  readonly link: string;
  readonly name: string;
  readonly run: number;
  readonly blockBytes: number;
  readonly pairingKey?: Secret | undefined;
}

/** Why an end does not connect, as an alarm, with the sentence for the log. */
export interface Refusal {
  readonly alarm: string;
  readonly sentence: string;
}

const guard: Guard = helloGuard();

/** What one end contributes to the name of a connection. */
export const freshNonce = (random: Random): Uint8Array => Buffer.from(random.hex(NONCE_BYTES), "hex");
/** Whether a hello has no nonce of the other end yet. */
export const isNone = (nonce: Uint8Array): boolean => isSame(nonce, NO_NONCE);
/** Whether two byte strings are the same; not for secrets. */
export const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
/** Whether a frame is a hello. */
export const isHello = (frame: Buffer): boolean => frame[0] === KQ.hello.code;
/** Which end a hello says that it comes from. */
export const sideOf = (hello: Hello): Side | undefined => SIDES[hello.side];

/** A frame, lent until the next hello is made. With `echo` known it carries the proof. */
export function helloFrame(self: Self, own: Uint8Array, echo: Uint8Array = NO_NONCE): Buffer {
  const { side, link, name, run, blockBytes, pairingKey } = self;
  const about = { version: KQ_VERSION, side: SIDES.indexOf(side), protected: pairingKey ? 1 : 0 };
  const bare: Hello = { ...about, own, echo, run, blockBytes, link, name, proof: NO_PROOF };
  const hello = pairingKey && !isNone(echo) ? { ...bare, proof: proofOf(pairingKey, bare) } : bare;
  return guard.seal("hello", 0, (to) => encode("hello", hello, to));
}

/** `undefined` when the frame is damaged; `otherVersion` when the rest cannot be read. @throws Malformed */
export function readHello(frame: Buffer): Hello | "otherVersion" | undefined {
  return guard.open(frame, ({ body }) =>
    body[0] === KQ_VERSION ? KQ.hello.get(new Reader(body)) : ("otherVersion" as const),
  );
}

/** The refusal of another version of Kq. */
export const WRONG_VERSION: Refusal = {
  alarm: "wrong-version",
  sentence: `the other end speaks another version of Kq than ${KQ_VERSION}; update the older one`,
};

/** What forbids a connection with the end that said `hello`; its `echo` is known to be ours. */
export function refusalOf(self: Self, hello: Hello): Refusal | undefined {
  if ((self.side === "host") === (sideOf(hello) === "host")) {
    return { alarm: "no-module", sentence: "the other end of the line is of the same kind: check the cable" };
  }
  if (hello.link !== self.link) {
    const sentence = `the other end serves link "${hello.link}", this one "${self.link}": check cable and configuration`;
    return { alarm: "wrong-link", sentence };
  }
  if (hello.blockBytes !== self.blockBytes) {
    const sentence = `the other end has blocks of ${hello.blockBytes} bytes, this one of ${self.blockBytes}: make them equal`;
    return { alarm: "wrong-block-size", sentence };
  }
  return pairingRefusal(self.pairingKey, hello);
}

function pairingRefusal(key: Secret | undefined, hello: Hello): Refusal | undefined {
  if ((key !== undefined) !== (hello.protected === 1)) {
    const [with_, without] = key ? ["this", "the other"] : ["the other", "this"];
    const sentence = `${with_} end has a pairing key and ${without} has none: give both the same file`;
    return { alarm: "pairing-missing", sentence };
  }
  if (key === undefined || proves(key, hello)) return undefined;
  return { alarm: "pairing-wrong", sentence: "the other end has another pairing key: give both the same file" };
}
