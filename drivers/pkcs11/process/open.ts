// A token in a process of its own: a module that hangs, aborts or leaks holds up nobody but itself.
//
//     key manager ── socket: what to do ──> process ── PKCS#11 ──> token          overdue: the process is killed, the token
//         '─────── locked, shared memory ──────'                                  is gone, and the next opening starts anew

import { performance } from "node:perf_hooks";
import { Fault } from "../../../src/core/fault.ts";
import { forgetRegisters } from "../../../src/core/memory/registers.ts";
import type { Secret } from "../../../src/core/memory/secret.ts";
import type { Log } from "../../../src/core/ports.ts";
import type { Kek, MacKey, Token, TokenInfo } from "../../../src/device/token.ts";
import { checkOpen, checkSeal, TAG_BYTES } from "../ciphers/gcm.ts";
import type { Pkcs11Options } from "../token.ts";
import { Calls } from "./calls.ts";
import { TokenChild } from "./child.ts";
import { Places } from "./places.ts";
import { type Answer, type Ask, errorOf, type KeyAnswer, type Operation, type Reply } from "./protocol.ts";
import { LONGEST_BYTES } from "./shared-memory.ts";

/** Which token, and how long a call may take. */
export interface TokenOptions extends Pkcs11Options {
  /** Within which the token must answer each call; opening has four times as long. */
  readonly deadlineMs: number;
  /** On a development board: memory shared with the process of the token need not be locked. */
  readonly allowUnlocked: boolean;
}

/** How long a closing token may take; its process is killed then. */
const CLOSE_MS = 2000;
/** Opening loads a module, logs in and measures, a call for each of a dozen. */
const OPENING = 4;
/** Within which the process must run: a slow machine has hundreds of files to read for it. */
const START_MS = 60_000;

/**
 * Opens the token with that label, in a process of its own. The PIN is tried once; nothing here tries it again. `stop` ends
 * an opening that has not come to its end, and its process at once.
 * @throws Fault WRONG_PIN; TOKEN_UNSUITABLE; MEMORY_NOT_LOCKED; HSM_UNAVAILABLE when module, token or session is missing,
 * or when the token does not answer in time
 */
export async function openToken(options: TokenOptions, log: Log, stop?: AbortSignal): Promise<Token> {
  const line = new Line(options, log);
  const abandon = (): void => line.abandon();
  stop?.addEventListener("abort", abandon, { once: true });
  try {
    const { deadlineMs: _, ...rest } = options;
    await line.call("hello", {});
    return tokenOf(line, await line.call("open", rest));
  } catch (thrown) {
    await line.close();
    throw thrown;
  } finally {
    stop?.removeEventListener("abort", abandon);
  }
}

/** The way to the process: open until it is closed, or a call is overdue, or the process ends. */
class Line {
  readonly label: string;
  readonly places: Places;
  readonly #child: TokenChild;
  readonly #calls: Calls;
  readonly #log: Log;
  #ending: Promise<void> | undefined;

  constructor({ label, deadlineMs, allowUnlocked }: TokenOptions, log: Log) {
    this.label = label;
    this.#log = log;
    this.#child = new TokenChild(
      { allowUnlocked },
      { reply: (reply) => this.#take(reply), ended: (why) => this.#lost(`its process is gone: ${why}`) },
    );
    this.places = new Places(this.#child.region.places);
    this.#calls = new Calls({
      send: (request) => this.#child.send(request),
      withinMs: (op) => (op === "hello" ? START_MS : op === "open" ? OPENING * deadlineMs : deadlineMs),
      overdue: (op, afterMs) => this.#lost(`it has not answered for ${afterMs} ms (${op})`),
    });
  }

  call<O extends Operation>(op: O, ask: Ask<O>): Promise<Answer<O>> {
    return this.#calls.call(op, ask);
  }

  /** Waits for the module to let go of the token, 2 s at most. */
  close(): Promise<void> {
    this.#ending ??= this.#close();
    return this.#ending;
  }

  /** Nobody waits for it any more. */
  abandon(): void {
    this.#end(new Fault("STOPPING"));
  }

  async #close(): Promise<void> {
    const began = performance.now();
    const closing = this.#calls.call("close", {}).catch(() => {});
    const fault = new Fault("HSM_UNAVAILABLE", { text: `the token ${this.label} was closed` });
    await Promise.race([closing, new Promise((resolve) => setTimeout(resolve, CLOSE_MS).unref())]);
    this.#calls.end(fault);
    await this.#child.close(Math.max(0, CLOSE_MS - (performance.now() - began)));
    this.#child.releaseRegion();
  }

  /** For good. */
  #lost(why: string): void {
    if (this.#ending !== undefined) return;
    this.#log.warn({ event: "token_gone", token: this.label, reason: why }, "the token is gone");
    this.#end(new Fault("HSM_UNAVAILABLE", { text: `the token ${this.label} is gone: ${why}` }));
  }

  #end(fault: Fault): void {
    if (this.#ending !== undefined) return;
    this.#calls.end(fault);
    this.#ending = this.#child.kill();
    this.#child.releaseRegion();
  }

  #take(reply: Reply): void {
    if ("log" in reply) this.#log[reply.log](reply.fields, reply.sentence);
    else if (reply.thrown !== undefined) this.#calls.fail(reply.id, errorOf(reply.thrown));
    else this.#calls.answer(reply.id, reply.answer);
  }
}

function tokenOf(line: Line, info: TokenInfo): Token {
  async function macKey(label: string, make: true): Promise<MacKey>;
  async function macKey(label: string, make?: boolean): Promise<MacKey | undefined>;
  async function macKey(label: string, make = false): Promise<MacKey | undefined> {
    const found = await line.call("macKey", { label, make });
    return found && macKeyOf(line, found);
  }
  return {
    info,
    macKey,
    generate: async (label) => kekOf(line, await line.call("generate", { label })),
    find: async (prefix) => (await line.call("find", { prefix })).map((found) => kekOf(line, found)),
    random: (into) => fillRandom(line, into),
    counter: (label, set) => line.call("counter", { label, set }),
    check: () => line.call("check", {}),
    [Symbol.asyncDispose]: () => line.close(),
  };
}

function kekOf(line: Line, { key, label }: KeyAnswer): Kek {
  return {
    label,
    async seal(job) {
      checkSeal(job);
      const { plain, sealed } = job;
      checkLength(plain.length + TAG_BYTES);
      await line.places.use(async (place, index) => {
        place.plain.set(plain);
        forgetRegisters();
        await line.call("seal", { key, place: index, bytes: plain.length, ...parameters(job) });
        sealed.set(place.sealed.subarray(0, sealed.length));
      });
    },
    async open(job) {
      checkOpen(job);
      const { plain, sealed } = job;
      checkLength(sealed.length);
      await line.places.use(async (place, index) => {
        place.sealed.set(sealed);
        await line.call("unseal", { key, place: index, bytes: sealed.length, ...parameters(job) });
        plain.set(place.plain.subarray(0, sealed.length));
        forgetRegisters();
      });
    },
    destroy: () => line.call("destroy", { key }),
  };
}

function macKeyOf(line: Line, { key, label }: KeyAnswer): MacKey {
  return {
    label,
    async mac(message) {
      if (message.length === 0) throw new RangeError("a message must have at least one byte");
      return Buffer.from(await line.call("mac", { key, message: hex(message) }), "hex");
    },
    destroy: () => line.call("destroy", { key }),
  };
}

/** As much at a time as a place holds. */
async function fillRandom(line: Line, into: Secret): Promise<void> {
  for (let at = 0; at < into.length; at += LONGEST_BYTES) {
    const bytes = Math.min(LONGEST_BYTES, into.length - at);
    await line.places.use(async (place, index) => {
      await line.call("random", { place: index, bytes });
      into.lend((lent) => lent.set(place.plain.subarray(0, bytes), at));
      forgetRegisters();
    });
  }
}

/** @throws RangeError */
function checkLength(bytes: number): void {
  if (bytes > LONGEST_BYTES) throw new RangeError(`a record of ${bytes} bytes is longer than ${LONGEST_BYTES}`);
}

const parameters = ({ iv, aad }: { iv: Uint8Array; aad: Uint8Array }) => ({ iv: hex(iv), aad: hex(aad) });

const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
