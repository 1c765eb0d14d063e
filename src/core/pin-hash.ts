// The hash of a person's PIN: scrypt, with its parameters and salt in the text.

import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";

/** RFC 7914: 16 MiB of memory and some tens of milliseconds for each try. */
const NOW = { cost: 16_384, block: 8, parallel: 1 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
const FORMAT = /^scrypt\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9_-]{22})\$([A-Za-z0-9_-]{43})$/;
/** A hash in a file asks for no more memory and time than this. */
const MEMORY_BYTES = 64 * 1024 * 1024;
const PARALLEL_MAX = 4;

interface Parameters {
  readonly cost: number;
  readonly block: number;
  readonly parallel: number;
}

/** `scrypt$cost$block$parallel$salt$hash`, base64url; different at each call. */
export async function hashPin(pin: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(pin, salt, NOW);
  return ["scrypt", NOW.cost, NOW.block, NOW.parallel, salt.toString("base64url"), hash.toString("base64url")].join(
    "$",
  );
}

/** Whether `hash` is a text that `hashPin` could have made; parameters beyond the bounds on memory and time are not. */
export const isPinHash = (hash: string): boolean => parse(hash) !== undefined;

/** Whether `hash` is of this PIN. A hash that cannot be read is of none, and takes as long to say so. */
export async function checkPin(pin: string, hash: string): Promise<boolean> {
  const parsed = parse(hash) ?? { ...NOW, salt: Buffer.alloc(SALT_BYTES), hash: undefined };
  const found = await derive(pin, parsed.salt, parsed);
  return parsed.hash !== undefined && timingSafeEqual(found, parsed.hash);
}

function parse(text: string): (Parameters & { readonly salt: Buffer; readonly hash: Buffer }) | undefined {
  const [, cost, block, parallel, salt = "", hash = ""] = FORMAT.exec(text) ?? [];
  const numbers = { cost: Number(cost), block: Number(block), parallel: Number(parallel) };
  if (hash === "" || !isBearable(numbers)) return undefined;
  return { ...numbers, salt: Buffer.from(salt, "base64url"), hash: Buffer.from(hash, "base64url") };
}

const isBearable = ({ cost, block, parallel }: Parameters): boolean =>
  cost > 1 &&
  Number.isInteger(Math.log2(cost)) &&
  block > 0 &&
  parallel > 0 &&
  parallel <= PARALLEL_MAX &&
  memoryOf({ cost, block, parallel }) <= MEMORY_BYTES;

const memoryOf = ({ cost, block, parallel }: Parameters): number => 128 * block * (cost + parallel + 2);

function derive(pin: string, salt: Buffer, parameters: Parameters): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const options = {
    N: parameters.cost,
    r: parameters.block,
    p: parameters.parallel,
    maxmem: memoryOf(parameters),
  };
  scrypt(pin.normalize("NFC"), salt, HASH_BYTES, options, (err, key) => (err === null ? resolve(key) : reject(err)));
  return promise;
}
