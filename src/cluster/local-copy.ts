// A member's own copy of what etcd has: answers all reads, and remembers how far it has followed.

import { deserialize, serialize } from "node:v8";
import { Fault } from "../core/fault.ts";
import type { Store, StoreOp } from "../vault/store/store.ts";

/** Table of the local store alone. */
const TABLE = "qkm-copy";
const ROW = "at";

/** What the copy is of. Revision 0: of nothing, or not whole. */
export interface CopiedTo {
  readonly cluster: string;
  readonly revision: number;
  /** ID of the last write that it has, as `lineage.ts` says. */
  readonly lastWrite?: string | undefined;
}

const NOTHING: CopiedTo = { cluster: "", revision: 0 };

/** The copy on this member's disk of what is written in etcd, with the revision up to which it goes. */
export class LocalCopy {
  readonly #openStore: () => Promise<Store>;
  #store: Store;
  #at: CopiedTo;
  #isBroken = false;
  /** Revisions up to which changes were given to the local store, which does them in order. */
  #given: number;
  #writes = 0;

  private constructor(openStore: () => Promise<Store>, store: Store) {
    this.#openStore = openStore;
    this.#store = store;
    this.#at = readAt(store);
    this.#given = this.#at.revision;
  }

  /** @throws Error of the local store */
  static async open(openStore: () => Promise<Store>): Promise<LocalCopy> {
    return new LocalCopy(openStore, await openStore());
  }

  get store(): Store {
    return this.#store;
  }

  /** Tables of what it is a copy of. */
  *tables(): Iterable<string> {
    for (const table of this.#store.tables()) if (table !== TABLE) yield table;
  }

  /** How far it is durable. */
  get at(): CopiedTo {
    return this.#at;
  }

  /** Changes that became durable so far: whoever sees it stand still sees that nothing goes on. */
  get writes(): number {
    return this.#writes;
  }

  /** Opens the local store anew after it rejected a change. @throws Error of the local store */
  async mend(): Promise<void> {
    if (!this.#isBroken) return;
    // What cannot even be closed is left as it is: it would be in the way of each later try.
    await this.#store.close().catch(() => {});
    this.#store = await this.#openStore();
    this.#at = readAt(this.#store);
    this.#given = this.#at.revision;
    this.#isBroken = false;
  }

  /** Makes the changes of the revisions up to `at` durable; those that were applied before are left out. @throws Fault */
  async apply(ops: readonly StoreOp[], at: CopiedTo): Promise<void> {
    if (this.#isBroken) throw new Fault("STORE_UNAVAILABLE", { text: "the local copy of the store is broken" });
    if (at.revision <= this.#given) return;
    this.#given = at.revision;
    await this.#write([...ops, placed(at)]);
    this.#at = at;
  }

  /** Takes the place of all that is there; cut off in between, it counts as of nothing. @throws what `parts` throws, Error */
  async refill(parts: AsyncIterable<readonly StoreOp[]>, at: CopiedTo): Promise<void> {
    this.#isBroken = true;
    await this.#store.destroy();
    await this.mend();
    for await (const ops of parts) await this.#write(ops);
    await this.apply([], at);
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async destroy(): Promise<void> {
    await this.#store.destroy();
  }

  async #write(ops: readonly StoreOp[]): Promise<void> {
    try {
      await this.#store.write(ops);
      this.#writes += 1;
    } catch (thrown) {
      this.#isBroken = true;
      throw thrown;
    }
  }
}

const placed = ({ cluster, revision, lastWrite }: CopiedTo): StoreOp => ({
  op: "put",
  table: TABLE,
  id: ROW,
  value: serialize({ cluster, revision, lastWrite }),
});

function readAt(store: Store): CopiedTo {
  for (const [id, value] of store.rows(TABLE)) if (id === ROW) return placeIn(value) ?? NOTHING;
  return NOTHING;
}

/** Undefined when the row is not as it was written: all is read anew then. */
function placeIn(value: Uint8Array): CopiedTo | undefined {
  try {
    const { cluster, revision, lastWrite } = deserialize(value);
    if (typeof cluster !== "string" || typeof revision !== "number") return undefined;
    return { cluster, revision, lastWrite: typeof lastWrite === "string" ? lastWrite : undefined };
  } catch {
    return undefined;
  }
}
