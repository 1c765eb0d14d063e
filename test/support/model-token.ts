// A token in memory that keeps the contract of src/device/token.ts, and can be told to vanish, return, be slow or refuse the PIN.

import { createCipheriv, createDecipheriv, createHmac, randomFillSync } from "node:crypto";
import { Fault } from "../../src/core/fault.ts";
import { compareIds } from "../../src/core/ids.ts";
import type { Kek, MacKey, Token, TokenInfo } from "../../src/device/token.ts";
import { SealBroken } from "../../src/device/token.ts";

export interface ModelTokenOptions {
  readonly suggests?: TokenInfo["suggests"];
  readonly serialNumber?: string;
  /** Fills KEKs and `random`; give a seeded one for a run that replays. */
  readonly random?: (bytes: Uint8Array) => void;
}

/** The token as hardware: what it holds survives every `open`, `vanish` and `restore`. */
export interface ModelToken {
  /** @throws Fault HSM_UNAVAILABLE while vanished, WRONG_PIN while the PIN is refused */
  open(): Promise<Token>;
  /** Every open Token is dead from now on, and `open` rejects. */
  vanish(): void;
  /** `open` works again; Tokens of before stay dead. */
  restore(): void;
  /** Every call waits for `pace` before it looks at the token; `undefined` makes it quick again. */
  slow(pace: (() => Promise<void>) | undefined): void;
  refusePin(refused: boolean): void;
  /** How often a PIN was tried. */
  readonly logins: number;
  /** Labels of the KEKs held, in order. */
  keks(): readonly string[];
  /** Seals and opens done since it was made. */
  readonly operations: number;
}

/** What the hardware keeps. `generation` moves when it vanishes: a Token of an older one is dead. */
interface Hardware {
  readonly keks: Map<string, Uint8Array>;
  readonly macKeys: Map<string, Uint8Array>;
  readonly counters: Map<string, number>;
  readonly random: (bytes: Uint8Array) => void;
  readonly suggests: TokenInfo["suggests"];
  readonly serialNumber: string;
  generation: number;
  present: boolean;
  refused: boolean;
  logins: number;
  operations: number;
  pace: (() => Promise<void>) | undefined;
}

export function makeModelToken(options: ModelTokenOptions = {}): ModelToken {
  const hardware: Hardware = {
    keks: new Map(),
    macKeys: new Map(),
    counters: new Map(),
    random: options.random ?? ((bytes) => void randomFillSync(bytes)),
    suggests: options.suggests ?? "direct",
    serialNumber: options.serialNumber ?? "0",
    generation: 0,
    present: true,
    refused: false,
    logins: 0,
    operations: 0,
    pace: undefined,
  };
  return {
    open: () => openModel(hardware),
    vanish() {
      hardware.present = false;
      hardware.generation += 1;
    },
    restore() {
      hardware.present = true;
    },
    slow(pace) {
      hardware.pace = pace;
    },
    refusePin(refused) {
      hardware.refused = refused;
    },
    keks: () => labelsOf(hardware, ""),
    get logins() {
      return hardware.logins;
    },
    get operations() {
      return hardware.operations;
    },
  };
}

const labelsOf = (hardware: Hardware, prefix: string) =>
  [...hardware.keks.keys()].filter((label) => label.startsWith(prefix)).sort(compareIds);

const gone = () => new Fault("HSM_UNAVAILABLE");

async function openModel(hardware: Hardware): Promise<Token> {
  await hardware.pace?.();
  if (!hardware.present) throw gone();
  hardware.logins += 1;
  if (hardware.refused) throw new Fault("WRONG_PIN");
  return modelToken(hardware);
}

function modelToken(hardware: Hardware): Token {
  const { generation } = hardware;
  let disposed = false;

  /** Runs `job` if the token is there when the call begins and still there when its pace has passed. */
  async function when<T>(job: () => T): Promise<T> {
    await hardware.pace?.();
    if (disposed || hardware.generation !== generation) throw gone();
    return job();
  }

  const kek = (label: string): Kek => {
    const keyOf = () => {
      const key = hardware.keks.get(label);
      if (key === undefined) throw gone();
      hardware.operations += 1;
      return key;
    };
    return {
      label,
      seal: (job) => when(() => seal(keyOf(), job)),
      open: (job) => when(() => open(keyOf(), job)),
      destroy: () => when(() => forget(hardware, label)),
    };
  };

  const macKey = (label: string): MacKey => ({
    label,
    mac: (message) =>
      when(() => {
        const key = hardware.macKeys.get(label);
        if (key === undefined) throw gone();
        if (message.length === 0) throw new RangeError("a message must have at least one byte");
        return Uint8Array.from(createHmac("sha256", key).update(message).digest());
      }),
    destroy: () => when(() => void hardware.macKeys.delete(label)),
  });

  async function openMacKey(label: string, make: true): Promise<MacKey>;
  async function openMacKey(label: string, make?: boolean): Promise<MacKey | undefined>;
  async function openMacKey(label: string, make = false): Promise<MacKey | undefined> {
    return await when(() => {
      if (!hardware.macKeys.has(label)) {
        if (!make) return undefined;
        const key = new Uint8Array(32);
        hardware.random(key);
        hardware.macKeys.set(label, key);
      }
      return macKey(label);
    });
  }

  return {
    macKey: openMacKey,
    info: {
      label: "model",
      model: "model token",
      serialNumber: hardware.serialNumber,
      software: true,
      suggests: hardware.suggests,
      envelopeOnly: false,
    },
    generate: (label) =>
      when(() => {
        if (hardware.keks.has(label)) throw new Error(`the token has a KEK ${label} already`);
        const key = new Uint8Array(32);
        hardware.random(key);
        hardware.keks.set(label, key);
        return kek(label);
      }),
    find: (prefix) => when(() => labelsOf(hardware, prefix).map(kek)),
    random: (into) => when(() => into.lend((bytes) => hardware.random(bytes))),
    counter: (label, set) =>
      when(() => {
        if (set !== undefined) hardware.counters.set(label, set);
        return hardware.counters.get(label) ?? 0;
      }),
    check: () => when(() => {}),
    async [Symbol.asyncDispose]() {
      disposed = true;
    },
  };
}

function forget(hardware: Hardware, label: string): void {
  hardware.keks.get(label)?.fill(0);
  hardware.keks.delete(label);
}

function seal(key: Uint8Array, { iv, aad, plain, sealed }: Parameters<Kek["seal"]>[0]): void {
  checkParameters(iv, aad);
  if (plain.length === 0 || sealed.length !== plain.length + 16) throw new RangeError("sealed takes plain + 16 bytes");
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  cipher.setAAD(aad);
  sealed.set(cipher.update(plain));
  cipher.final();
  sealed.set(cipher.getAuthTag(), plain.length);
}

function open(key: Uint8Array, { iv, aad, sealed, plain }: Parameters<Kek["open"]>[0]): void {
  checkParameters(iv, aad);
  if (plain.length < sealed.length) throw new RangeError("plain must have room for sealed.length bytes");
  const length = sealed.length - 16;
  if (length < 1) throw new SealBroken("the record is too short");
  const decipher = createDecipheriv("aes-256-gcm", key, iv, { authTagLength: 16 });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(length));
  const clear = decipher.update(sealed.subarray(0, length));
  try {
    decipher.final();
    plain.set(clear);
    plain.fill(0, length, sealed.length);
  } catch (cause) {
    plain.fill(0, 0, sealed.length);
    throw new SealBroken("the record is not what was sealed", { cause });
  } finally {
    clear.fill(0);
  }
}

function checkParameters(iv: Uint8Array, aad: Uint8Array): void {
  if (iv.length !== 12) throw new RangeError("iv must have 12 bytes");
  if (aad.length === 0) throw new RangeError("aad must have at least one byte");
}
