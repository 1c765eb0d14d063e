// The pre-shared keys of encryptors, as files have them; read again at a reload.

import { timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import type { SkipConfig } from "../../config.ts";
import { type Secret, secretOf } from "../../core/memory/secret.ts";
import { readDigits } from "../../core/text/hex.ts";
import type { PreSharedKey, PreSharedKeys } from "../../net/tls/pre-shared.ts";

const LEAST_KEY_BYTES = 16;
const MOST_KEY_BYTES = 64;

type Rows = SkipConfig["psk"];

/** All pre-shared keys of a door; dispose zeroes them. */
export class PreSharedTable implements Disposable {
  readonly #keys = new Map<string, PreSharedKey>();

  /** @throws Error that names the file when one cannot be used */
  constructor(rows: Rows) {
    this.prepare(rows).take();
  }

  /** As they are now. A key that has not changed stays the same object. */
  get keys(): PreSharedKeys {
    return this.#keys;
  }

  /** Reads the files of other rows; changes nothing until it is taken or left. @throws Error that names the file when one cannot be used */
  prepare(rows: Rows) {
    const next = new Map<string, PreSharedKey>();
    const read = new Set<Secret>();
    const leave = (): void => {
      for (const key of read) key[Symbol.dispose]();
    };
    let isRenewed = false;
    try {
      for (const { identity, app, keyFile } of rows) {
        const key = readPreSharedKey(keyFile);
        const known = this.#keys.get(identity);
        const isSame = known !== undefined && equal(known.key, key);
        if (isSame) key[Symbol.dispose]();
        else read.add(key);
        if (known !== undefined && !isSame) isRenewed = true;
        next.set(identity, isSame && known.id === app ? known : { id: app, key: isSame ? known.key : key });
      }
    } catch (thrown) {
      leave();
      throw thrown;
    }
    return { isRenewed, leave, take: () => this.#take(next) };
  }

  #take(next: ReadonlyMap<string, PreSharedKey>): void {
    const stays = new Set([...next.values()].map(({ key }) => key));
    for (const { key } of this.#keys.values()) if (!stays.has(key)) key[Symbol.dispose]();
    this.#keys.clear();
    for (const [identity, key] of next) this.#keys.set(identity, key);
  }

  [Symbol.dispose](): void {
    this.#take(new Map());
  }
}

const equal = (one: Secret, other: Secret): boolean =>
  one.length === other.length && one.lend((a) => other.lend((b) => timingSafeEqual(a, b)));

/** A file with hexadecimal digits and perhaps a line end. @throws Error that names the file when it is something else */
function readPreSharedKey(path: string): Secret {
  const file = readFileSync(path);
  const digits = file.at(-1) === 0x0a ? file.length - 1 : file.length;
  const key = Buffer.alloc(digits >> 1);
  const isRight = digits % 2 === 0 && key.length >= LEAST_KEY_BYTES && key.length <= MOST_KEY_BYTES;
  const good = isRight && readDigits(file, key);
  file.fill(0);
  if (good) return secretOf(key);
  throw new Error(`${path} must have 32 to 128 hexadecimal digits; make one with: openssl rand -hex 32 > '${path}'`);
}
