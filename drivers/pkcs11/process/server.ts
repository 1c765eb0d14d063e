// The side of the token: keeps its keys by number and runs operations on it.

import { secretOf } from "../../../src/core/memory/secret.ts";
import type { Log } from "../../../src/core/ports.ts";
import type { Kek, MacKey, Token } from "../../../src/device/token.ts";
import { openPkcs11Token } from "../token.ts";
import type { Answer, Ask, CryptJob, KeyAnswer, Operation } from "./protocol.ts";
import { mapRegion, type Place, type Region } from "./shared-memory.ts";

/** The tag that GCM adds. */
const TAG_BYTES = 16;

type Handlers = { readonly [O in Operation]: (ask: Ask<O>) => Promise<Answer<O>> };

/** Runs what the KM asks of the token, and answers. */
export class Server {
  readonly #fd: number;
  readonly #log: Log;
  readonly #keks = new Map<number, Kek>();
  readonly #macs = new Map<number, MacKey>();
  #keys = 0;
  #region: Region | undefined;
  #token: Token | undefined;

  constructor(fd: number, log: Log) {
    this.#fd = fd;
    this.#log = log;
  }

  /** @throws whatever the token throws */
  run(op: Operation, ask: unknown): Promise<unknown> {
    const handler = this.#handlers[op] as (ask: unknown) => Promise<unknown>;
    return handler(ask);
  }

  readonly #handlers: Handlers = {
    hello: async () => undefined,
    open: async (options) => {
      this.#region = mapRegion(this.#fd, options);
      this.#token = await openPkcs11Token(options, this.#log);
      return this.#token.info;
    },
    generate: async ({ label }) => this.#kek(await this.#open().generate(label)),
    find: async ({ prefix }) => (await this.#open().find(prefix)).map((kek) => this.#kek(kek)),
    macKey: async ({ label, make }) => {
      const key = await this.#open().macKey(label, make);
      if (key === undefined) return undefined;
      this.#keys += 1;
      this.#macs.set(this.#keys, key);
      return { key: this.#keys, label };
    },
    seal: async (job) => {
      const { plain, sealed } = this.#place(job.place);
      const out = sealed.subarray(0, job.bytes + TAG_BYTES);
      await this.#kekOf(job.key).seal({ ...parameters(job), plain: plain.subarray(0, job.bytes), sealed: out });
      return undefined;
    },
    unseal: async (job) => {
      const { plain, sealed } = this.#place(job.place);
      const { key, bytes } = job;
      await this.#kekOf(key).open({ ...parameters(job), sealed: sealed.subarray(0, bytes), plain });
      return undefined;
    },
    mac: async ({ key, message }) => {
      const mac = await this.#macOf(key).mac(Buffer.from(message, "hex"));
      return Buffer.from(mac).toString("hex");
    },
    destroy: async ({ key }) => {
      await (this.#macs.get(key) ?? this.#kekOf(key)).destroy();
      return undefined;
    },
    random: async ({ place, bytes }) => {
      await this.#open().random(secretOf(this.#place(place).plain.subarray(0, bytes)));
      return undefined;
    },
    counter: ({ label, set }) => this.#open().counter(label, set),
    check: async () => {
      await this.#open().check();
      return undefined;
    },
    close: async () => {
      await this.#token?.[Symbol.asyncDispose]();
      return undefined;
    },
  };

  #kek(kek: Kek): KeyAnswer {
    this.#keys += 1;
    this.#keks.set(this.#keys, kek);
    return { key: this.#keys, label: kek.label };
  }

  #open(): Token {
    return present(this.#token);
  }

  #kekOf(key: number): Kek {
    return present(this.#keks.get(key));
  }

  #macOf(key: number): MacKey {
    return present(this.#macs.get(key));
  }

  #place(index: number): Place {
    return present(this.#region?.places[index]);
  }
}

const parameters = ({ iv, aad }: CryptJob) => ({ iv: Buffer.from(iv, "hex"), aad: Buffer.from(aad, "hex") });

function present<T>(thing: T | undefined): T {
  if (thing === undefined) throw new Error("the process of the token has no such thing");
  return thing;
}
