// What a KM and the process of its token say to each other: one line of JSON each, over a socket. Never a key byte: those
// lie in the place of shared memory that a line names.

import { Fault, type FaultCode } from "../../../src/core/fault.ts";
import type { Log } from "../../../src/core/ports.ts";
import { SealBroken, type TokenInfo } from "../../../src/device/token.ts";
import type { Pkcs11Options } from "../token.ts";
import type { RegionOptions } from "./shared-memory.ts";

/** A key in the token, by the number that the process gave it. */
export interface KeyAnswer {
  readonly key: number;
  readonly label: string;
}

/** One seal or opening: where its bytes lie, and how many there are. IV and AAD in hexadecimal. */
export interface CryptJob {
  readonly key: number;
  readonly place: number;
  readonly bytes: number;
  readonly iv: string;
  readonly aad: string;
}

/** Each operation: what is asked, and what is answered. */
export interface Operations {
  /** The process runs. */
  readonly hello: { readonly ask: object; readonly answer: undefined };
  readonly open: { readonly ask: Pkcs11Options & RegionOptions; readonly answer: TokenInfo };
  readonly generate: { readonly ask: { readonly label: string }; readonly answer: KeyAnswer };
  readonly find: { readonly ask: { readonly prefix: string }; readonly answer: readonly KeyAnswer[] };
  readonly macKey: {
    readonly ask: { readonly label: string; readonly make: boolean };
    readonly answer: KeyAnswer | undefined;
  };
  /** `bytes` of plaintext become `bytes + 16` sealed ones, in the same place. */
  readonly seal: { readonly ask: CryptJob; readonly answer: undefined };
  /** `bytes` sealed ones become plaintext. */
  readonly unseal: { readonly ask: CryptJob; readonly answer: undefined };
  /** Message and MAC in hexadecimal. */
  readonly mac: { readonly ask: { readonly key: number; readonly message: string }; readonly answer: string };
  readonly destroy: { readonly ask: { readonly key: number }; readonly answer: undefined };
  /** Into the place's plaintext. */
  readonly random: { readonly ask: { readonly place: number; readonly bytes: number }; readonly answer: undefined };
  readonly counter: {
    readonly ask: { readonly label: string; readonly set: number | undefined };
    readonly answer: number;
  };
  readonly check: { readonly ask: object; readonly answer: undefined };
  readonly close: { readonly ask: object; readonly answer: undefined };
}

/** The name of an operation of the token. */
export type Operation = keyof Operations;
/** What an operation is asked with. */
export type Ask<O extends Operation> = Operations[O]["ask"];
/** What an operation answers. */
export type Answer<O extends Operation> = Operations[O]["answer"];

/** One line to the process. */
export interface Request {
  readonly id: number;
  readonly op: Operation;
  readonly ask: unknown;
}

/** What an operation threw, so that it can be thrown again on the other side. */
export interface Thrown {
  readonly kind: "fault" | "broken" | "range" | "error";
  readonly code: FaultCode;
  readonly text: string;
}

/** An answer, or a line for the log. */
export type Reply =
  | { readonly id: number; readonly answer?: unknown; readonly thrown?: Thrown }
  | { readonly log: keyof Log; readonly fields: Readonly<Record<string, unknown>>; readonly sentence: string };

/** An error as it crosses between the processes. */
export function thrownOf(error: unknown): Thrown {
  const text = error instanceof Error ? error.message : String(error);
  if (error instanceof Fault) return { kind: "fault", code: error.code, text };
  const kind = error instanceof SealBroken ? "broken" : error instanceof RangeError ? "range" : "error";
  return { kind, code: "INTERNAL", text };
}

/** The error that crossed, as an object of this process. */
export function errorOf({ kind, code, text }: Thrown): Error {
  if (kind === "fault") return new Fault(code, { text });
  if (kind === "broken") return new SealBroken(text);
  return kind === "range" ? new RangeError(text) : new Error(text);
}

/** Longer lines mean that the other side is not what it should be. */
const LONGEST_LINE = 1 << 24;

/** Gives whole lines of what arrives in pieces. @throws RangeError */
export function lineReader(each: (line: string) => void): (piece: string) => void {
  let rest = "";
  return (piece) => {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LONGEST_LINE) throw new RangeError(`a line is longer than ${LONGEST_LINE} characters`);
    for (const line of lines) each(line);
  };
}

/** Writes messages as lines. Those of one turn leave together: each write wakes the other process up. */
export function lineWriter<Message>(write: (lines: string) => void): (message: Message) => void {
  let gathered = "";
  return (message) => {
    if (gathered === "") {
      queueMicrotask(() => {
        const lines = gathered;
        gathered = "";
        write(lines);
      });
    }
    gathered += `${JSON.stringify(message)}\n`;
  };
}
