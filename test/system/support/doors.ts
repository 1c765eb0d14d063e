// Both doors of a KM behind one face, which tells a refusal from an answer that never came.

import { type AkClient, AkRefusal } from "../../../src/ak/client.ts";
import { appId } from "../../../src/core/ids.ts";
import type { App } from "./app.ts";
import { SaeRefusal, Unreached } from "./sae.ts";

/** A key as it was handed out. */
export interface HandedKey {
  readonly id: string;
  readonly key: Buffer;
}

export interface Wish {
  readonly number: number;
  /** Bits. */
  readonly size: number;
}

/** The KM said no: nothing was consumed. `again`: the same request may succeed later. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly again: boolean;

  constructor(cause: Error, again: boolean) {
    super(cause.message, { cause });
    this.again = again;
  }
}

/** The request may have reached the KM, and no whole answer came back. */
export class Unanswered extends Error {
  override readonly name = "Unanswered";
}

/** What is asked fails with Refused or Unanswered. */
export interface Door {
  readonly name: "ak" | "etsi014";
  supply(destination: string, wish: Wish): Promise<readonly HandedKey[]>;
  fetch(initiator: string, ids: readonly string[]): Promise<readonly HandedKey[]>;
  /** Ends its own connection; the next request begins another. */
  disconnect(): Promise<void>;
}

export class EtsiDoor implements Door {
  readonly name = "etsi014";
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
  }

  supply(destination: string, wish: Wish): Promise<readonly HandedKey[]> {
    return asked(this.#app.encKeys(destination, wish));
  }

  fetch(initiator: string, ids: readonly string[]): Promise<readonly HandedKey[]> {
    return asked(this.#app.decKeys(initiator, ids));
  }

  async disconnect(): Promise<void> {}
}

/** Dials when it is asked something, and again after its connection was lost. */
export class AkDoor implements Door {
  readonly name = "ak";
  readonly #app: App;
  #client: Promise<AkClient> | undefined;

  constructor(app: App) {
    this.#app = app;
  }

  supply(destination: string, { number, size }: Wish): Promise<readonly HandedKey[]> {
    const wanted = { destination: appId(destination), count: number, sizeBits: size };
    return this.#ask((client) => client.getKeys(wanted));
  }

  fetch(initiator: string, keyIds: readonly string[]): Promise<readonly HandedKey[]> {
    return this.#ask((client) => client.getKeysById({ initiator: appId(initiator), keyIds }));
  }

  async #ask(what: (client: AkClient) => ReturnType<AkClient["getKeys"]>): Promise<readonly HandedKey[]> {
    this.#client ??= this.#app.connectAk();
    const dialled = this.#client;
    const client = await dialled.catch((thrown: unknown) => {
      this.#forget(dialled);
      throw new Refused(asError(thrown), true); // nothing was sent
    });
    const answer = what(client).catch((thrown: unknown) => {
      if (!(thrown instanceof AkRefusal)) this.#forget(dialled);
      throw thrown;
    });
    const keys = await asked(answer);
    return keys.map((one) => {
      using supplied = one;
      return { id: supplied.keyId, key: supplied.key.lend((bytes) => Buffer.from(bytes)) };
    });
  }

  #forget(dialled: Promise<AkClient>): void {
    if (this.#client === dialled) this.#client = undefined;
    dialled.then((client) => client[Symbol.asyncDispose]()).catch(() => {});
  }

  async disconnect(): Promise<void> {
    const dialled = this.#client;
    this.#client = undefined;
    const client = await dialled?.catch(() => undefined);
    await client?.[Symbol.asyncDispose]();
  }
}

const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));

const TRY_AGAIN = new Set([
  "HSM_UNAVAILABLE",
  "PEER_UNAVAILABLE",
  "INSUFFICIENT_KEYS",
  "STOPPING",
  "BUSY",
  "NO_ROUTE",
  "AUDIT_UNAVAILABLE",
]);

/** A commit that was rejected may have happened: what was asked for may be gone. */
const isInDoubt = (error: Error): boolean =>
  error instanceof AkRefusal ? error.code === "STORE_UNAVAILABLE" : /key store cannot be written/.test(error.message);

async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (thrown) {
    const error = asError(thrown);
    if (isInDoubt(error)) throw new Unanswered(error.message, { cause: error });
    if (error instanceof SaeRefusal) throw new Refused(error, error.status === 503);
    if (error instanceof AkRefusal) throw new Refused(error, TRY_AGAIN.has(error.code ?? ""));
    if (error instanceof Unreached) throw new Refused(error, true);
    throw new Unanswered(error.message, { cause: error });
  }
}
