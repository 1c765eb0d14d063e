// A PKCS#11 token as qkm's Token: opened by label, logged in once, dead for good when it goes away.

import { basename } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import type { Handle } from "pkcs11js";
import { Fault } from "../../src/core/fault.ts";
import { forgetRegisters } from "../../src/core/memory/registers.ts";
import type { Secret } from "../../src/core/memory/secret.ts";
import type { Log } from "../../src/core/ports.ts";
import type { Kek, MacKey, Token, TokenInfo } from "../../src/device/token.ts";
import { destroyObject, type Forge, generateKey } from "./attributes.ts";
import { openCbc, sealCbc } from "./ciphers/cbc.ts";
import { checkOpen, checkSeal, open, seal, view } from "./ciphers/gcm.ts";
import { findMacKey, MAC_PLAN, sign } from "./ciphers/mac.ts";
import { measure, schemeOf } from "./ciphers/measure.ts";
import type { Connection } from "./connection.ts";
import { connect } from "./connection.ts";
import { readCounter, writeCounter } from "./counter.ts";
import type { Settle } from "./durable.ts";
import { softhsmSettle } from "./durable.ts";
import type { FoundKek, Scheme } from "./kek.ts";
import { findKeks, generateKek } from "./kek.ts";
import { borrowLibrary } from "./library.ts";
import { saysNever } from "./refusal.ts";
import type { Found } from "./slot.ts";
import { checkNotCopied } from "./softhsm-conf.ts";

/** Which PKCS#11 module, which token, where its PIN is. */
export interface Pkcs11Options {
  /** Path of the PKCS#11 module, for example /usr/lib/softhsm/libsofthsm2.so. */
  readonly module: string;
  readonly label: string;
  /** A file with the PIN in its first line, readable by its owner alone; read once per opening. */
  readonly pinFile: string;
  /** SoftHSM's configuration file. */
  readonly softhsmConf?: string | undefined;
  /** What C_Initialize is given, for modules that want it (NSS). */
  readonly parameters?: string | undefined;
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
  readonly scheme: Scheme;
  readonly tellsLocal: boolean;
}

/** Bytes that one C_GenerateRandom brings: the call has no asynchronous form. */
const RANDOM_BYTES = 4_096;

/**
 * Opens the token with that label. The PIN is tried once; nothing here tries it again.
 * @throws Fault WRONG_PIN; TOKEN_UNSUITABLE when a mechanism is missing; HSM_UNAVAILABLE when module, token or session is
 */
export async function openPkcs11Token(options: Pkcs11Options, log: Log): Promise<Token> {
  if (options.softhsmConf !== undefined) checkNotCopied(options.softhsmConf);
  const lease = borrowLibrary(options.module, options.softhsmConf, options.parameters);
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
    throw thrown instanceof Fault && saysNever(thrown.cause)
      ? new Fault("TOKEN_UNSUITABLE", { text: thrown.message, cause: thrown.cause })
      : thrown;
  }
}

async function measured(line: Connection, options: Pkcs11Options, log: Log): Promise<Token> {
  const { synchronousBelowMs = 1, directUpToMs = 3 } = options;
  const { pkcs11, found } = line;
  const { scheme, sealMs, tellsLocal } = await line.run(async (session) => {
    const scheme = schemeOf(pkcs11, found.slot);
    return { scheme, ...(await measure({ pkcs11, session }, scheme, synchronousBelowMs)) };
  });
  const info: TokenInfo = {
    label: found.label,
    model: found.model,
    serialNumber: found.serialNumber,
    software: !found.hardware,
    suggests: sealMs <= directUpToMs || isSofthsm(found, options) ? "direct" : "envelope",
    envelopeOnly: scheme === "cbc-mac",
  };
  const synchronous = sealMs < synchronousBelowMs;
  const speed = Number.isFinite(sealMs) ? { seal32KiBMicros: Math.round(sealMs * 1000) } : {};
  log.info({ event: "token_opened", ...info, scheme, ...speed, synchronous }, "the token is open");
  if (!tellsLocal) log.warn({ token: found.label }, "the token does not tell which keys it made itself (CKA_LOCAL)");
  return tokenOf({ line, synchronous, settle: await settleOf(line, options, log), log, scheme, tellsLocal }, info);
}

/** SoftHSM in this very process is quick, whatever else the machine does just now. */
const isSofthsm = ({ manufacturer }: Found, { module, directUpToMs }: Pkcs11Options): boolean =>
  directUpToMs === undefined && manufacturer.startsWith("SoftHSM") && basename(module).startsWith("libsofthsm2.");

async function settleOf({ found }: Connection, { softhsmConf }: Pkcs11Options, log: Log): Promise<Settle> {
  if (softhsmConf !== undefined) return softhsmSettle(softhsmConf, found.serialNumber);
  if (found.manufacturer.startsWith("SoftHSM")) {
    log.warn({ token: found.label }, "without softhsm_conf a power cut may take the newest KEK with it");
  }
  return async () => {};
}

function tokenOf(context: Context, info: TokenInfo): Token {
  const { line, settle, scheme, tellsLocal, log } = context;
  const { pkcs11 } = line;
  const forgeOf = (session: Handle): Forge => ({ pkcs11, session, tellsLocal, log });
  async function macKey(label: string, make: true): Promise<MacKey>;
  async function macKey(label: string, make?: boolean): Promise<MacKey | undefined>;
  async function macKey(label: string, make = false): Promise<MacKey | undefined> {
    return await line.runSeen(async (session) => {
      const known = findMacKey(forgeOf(session), label);
      if (known !== undefined || !make) return known && macKeyOf(context, label, known);
      const key = await generateKey(forgeOf(session), { ...MAC_PLAN, label });
      await settle();
      return macKeyOf(context, label, key);
    });
  }
  return {
    info,
    macKey,
    generate: (label) =>
      line.runSeen(async (session) => {
        const kek = await generateKek(forgeOf(session), label, scheme);
        await settle();
        return kekOf(context, kek);
      }),
    find: (prefix) =>
      line.runSeen((session) => findKeks(forgeOf(session), prefix, scheme).map((found) => kekOf(context, found))),
    random: (into) => line.runSeen((session) => fillRandom(context, session, into)),
    counter: (label, set) =>
      line.runSeen(async (session) => {
        if (set !== undefined) await writeCounter(forgeOf(session), label, set, settle);
        return readCounter(forgeOf(session), label);
      }),
    // The module may answer for a token from memory; the generator is as a rule in the device.
    check: () => line.runSeen((session) => void pkcs11.C_GenerateRandom(session, Buffer.alloc(1))),
    [Symbol.asyncDispose]: () => line.close(),
  };
}

function kekOf({ line, synchronous, settle, log }: Context, { label, key, mac, wrong }: FoundKek): Kek {
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
        const bench = { pkcs11, session, key, synchronous };
        return mac === undefined ? seal(bench, job) : sealCbc({ ...bench, mac }, job);
      });
    },
    async open(job) {
      checkOpen(job);
      await line.run((session) => {
        present();
        const bench = { pkcs11, session, key, synchronous };
        return mac === undefined ? open(bench, job) : openCbc({ ...bench, mac }, job);
      });
    },
    destroy: () =>
      line.runSeen((session) => {
        destroyed = true;
        destroyObject(pkcs11, session, key);
        if (mac !== undefined) destroyObject(pkcs11, session, mac);
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
