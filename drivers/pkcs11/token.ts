// A PKCS#11 token as qkm's Token: opened by label, logged in once, dead for good when it goes away.

import { setImmediate as turn } from "node:timers/promises";
import type { Handle } from "pkcs11js";
import { Fault } from "../../src/core/fault.ts";
import type { Log } from "../../src/core/ports.ts";
import { forgetRegisters } from "../../src/core/registers.ts";
import type { Secret } from "../../src/core/secret.ts";
import type { Kek, MacKey, Token, TokenInfo } from "../../src/device/token.ts";
import type { Connection } from "./connection.ts";
import { connect } from "./connection.ts";
import { readCounter, writeCounter } from "./counter.ts";
import type { Settle } from "./durable.ts";
import { softhsmSettle } from "./durable.ts";
import { checkOpen, checkSeal, open, seal, view } from "./gcm.ts";
import type { FoundKek } from "./kek.ts";
import { destroyObject, findKeks, generateKek } from "./kek.ts";
import { borrowLibrary } from "./library.ts";
import { findMacKey, generateMacKey, sign } from "./mac.ts";
import { checkMechanisms, measureSeal } from "./measure.ts";

export interface Pkcs11Options {
  /** Path of the PKCS#11 module, for example /usr/lib/softhsm/libsofthsm2.so. */
  readonly module: string;
  readonly label: string;
  /** A file with the PIN in its first line, readable by its owner alone; read once per opening. */
  readonly pinFile: string;
  /** SoftHSM's configuration file. */
  readonly softhsmConf?: string | undefined;
  /** Sessions at a time; 8 unless given. */
  readonly sessions?: number;
  /** A token that seals 32 KiB in less is called on the event loop; 1 unless given. */
  readonly synchronousBelowMs?: number;
  /** A token that seals 32 KiB in at most this suggests `direct`; 3 unless given. */
  readonly directUpToMs?: number;
}

/** What the operations below need. */
interface Context {
  readonly line: Connection;
  readonly synchronous: boolean;
  readonly settle: Settle;
  readonly log: Log;
}

/** Bytes that one C_GenerateRandom brings: the call has no asynchronous form. */
const RANDOM_BYTES = 4_096;

/**
 * Opens the token with that label. The PIN is tried once; nothing here tries it again.
 * @throws Fault WRONG_PIN; HSM_UNAVAILABLE when module, token, mechanism or session is missing
 */
export async function openPkcs11Token(options: Pkcs11Options, log: Log): Promise<Token> {
  const lease = borrowLibrary(options.module, options.softhsmConf);
  let line: Connection;
  try {
    line = connect(lease, { label: options.label, pinFile: options.pinFile, sessions: options.sessions ?? 8 }, log);
  } catch (thrown) {
    lease.release();
    throw thrown;
  }
  try {
    return await measured(line, options, log);
  } catch (thrown) {
    await line.close();
    throw thrown;
  }
}

async function measured(line: Connection, options: Pkcs11Options, log: Log): Promise<Token> {
  const { synchronousBelowMs = 1, directUpToMs = 3 } = options;
  const { pkcs11, found } = line;
  const sealMs = await line.run((session) => {
    checkMechanisms(pkcs11, found.slot);
    return measureSeal(pkcs11, session, synchronousBelowMs);
  });
  const info: TokenInfo = {
    label: found.label,
    model: found.model,
    serialNumber: found.serialNumber,
    software: !found.hardware,
    suggests: sealMs <= directUpToMs ? "direct" : "envelope",
  };
  const synchronous = sealMs < synchronousBelowMs;
  log.info({ ...info, seal32KiBMicros: Math.round(sealMs * 1000), synchronous }, "the token is open");
  return tokenOf({ line, synchronous, settle: await settleOf(line, options, log), log }, info);
}

async function settleOf({ found }: Connection, { softhsmConf }: Pkcs11Options, log: Log): Promise<Settle> {
  if (softhsmConf !== undefined) return softhsmSettle(softhsmConf, found.serialNumber);
  if (found.manufacturer.startsWith("SoftHSM")) {
    log.warn({ token: found.label }, "without softhsm_conf a power cut may take the newest KEK with it");
  }
  return async () => {};
}

function tokenOf(context: Context, info: TokenInfo): Token {
  const { line, settle } = context;
  const { pkcs11 } = line;
  async function macKey(label: string, make: true): Promise<MacKey>;
  async function macKey(label: string, make?: boolean): Promise<MacKey | undefined>;
  async function macKey(label: string, make = false): Promise<MacKey | undefined> {
    return await line.runSeen(async (session) => {
      const known = findMacKey(pkcs11, session, label);
      if (known !== undefined || !make) return known && macKeyOf(context, label, known);
      const key = generateMacKey(pkcs11, session, label);
      await settle();
      return macKeyOf(context, label, key);
    });
  }
  return {
    info,
    macKey,
    generate: (label) =>
      line.runSeen(async (session) => {
        const key = await generateKek(pkcs11, session, label);
        await settle();
        return kekOf(context, { label, key, wrong: [] });
      }),
    find: (prefix) =>
      line.runSeen((session) => findKeks(pkcs11, session, prefix).map((found) => kekOf(context, found))),
    random: (into) => line.runSeen((session) => fillRandom(context, session, into)),
    counter: (label, set) =>
      line.runSeen(async (session) => {
        if (set !== undefined) await writeCounter({ pkcs11, session }, label, set, settle);
        return readCounter(pkcs11, session, label);
      }),
    // The module may answer for a token from memory; the generator is as a rule in the device.
    check: () => line.runSeen((session) => void pkcs11.C_GenerateRandom(session, Buffer.alloc(1))),
    [Symbol.asyncDispose]: () => line.close(),
  };
}

function kekOf({ line, synchronous, settle, log }: Context, { label, key, wrong }: FoundKek): Kek {
  const { pkcs11 } = line;
  let destroyed = false;
  const present = () => {
    if (destroyed) throw new Fault("HSM_UNAVAILABLE", { text: `the KEK ${label} was destroyed` });
  };
  if (wrong.length > 0) log.warn({ kek: label, wrong }, "a KEK in the token has wrong attributes: it seals nothing");
  return {
    label,
    async seal(job) {
      checkSeal(job);
      if (wrong.length > 0) {
        throw new Fault("HSM_UNAVAILABLE", { text: `the KEK ${label} has wrong attributes: ${wrong.join(", ")}` });
      }
      await line.run((session) => {
        present();
        return seal({ pkcs11, session, key, synchronous }, job);
      });
    },
    async open(job) {
      checkOpen(job);
      await line.run((session) => {
        present();
        return open({ pkcs11, session, key, synchronous }, job);
      });
    },
    destroy: () =>
      line.runSeen((session) => {
        destroyed = true;
        destroyObject(pkcs11, session, key);
        return settle();
      }),
  };
}

function macKeyOf({ line, synchronous, settle }: Context, label: string, key: Handle): MacKey {
  const { pkcs11 } = line;
  let destroyed = false;
  return {
    label,
    async mac(message) {
      if (message.length === 0) throw new RangeError("a message must have at least one byte");
      return await line.run((session) => {
        if (destroyed) throw new Fault("HSM_UNAVAILABLE", { text: `the key ${label} was destroyed` });
        return sign({ pkcs11, session, key, synchronous }, message);
      });
    },
    destroy: () =>
      line.runSeen((session) => {
        destroyed = true;
        destroyObject(pkcs11, session, key);
        return settle();
      }),
  };
}

/** Straight into the lent bytes; a slow token's draws let the event loop turn between them. */
async function fillRandom({ line, synchronous }: Context, session: Handle, into: Secret): Promise<void> {
  const step = synchronous ? into.length : RANDOM_BYTES;
  for (let at = 0; at < into.length; at += step) {
    into.lend((bytes) => void line.pkcs11.C_GenerateRandom(session, view(bytes.subarray(at, at + step))));
    forgetRegisters();
    if (!synchronous) await turn();
  }
}
