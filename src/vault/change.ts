// A change as the key manager builds it: steps first, then one commit.

import type { ChangeOp } from "./store/record-store.ts";
import { asRecord } from "./store/sealed.ts";
import { checkName } from "./store/store.ts";
import type { BlockId, Change, Row, Sealed } from "./vault.ts";

/** A change that is being built; `commit` once, then it is spent. */
export class PendingChange implements Change {
  readonly #commit: (ops: readonly ChangeOp[]) => Promise<void>;
  #ops: ChangeOp[] | undefined = [];

  constructor(commit: (ops: readonly ChangeOp[]) => Promise<void>) {
    this.#commit = commit;
  }

  put(table: string, id: string, row: Row): Change {
    checkName(table, id);
    return this.#add({ op: "put", table, id, row });
  }

  remove(table: string, id: string): Change {
    checkName(table, id);
    return this.#add({ op: "remove", table, id });
  }

  keep(sealed: Sealed): Change {
    return this.#add({ op: "keep", record: asRecord(sealed) });
  }

  destroy(block: BlockId): Change {
    return this.#add({ op: "destroy", block });
  }

  commit(): Promise<void> {
    const ops = this.#taken();
    this.#ops = undefined;
    return this.#commit(ops);
  }

  #add(op: ChangeOp): Change {
    this.#taken().push(op);
    return this;
  }

  #taken(): ChangeOp[] {
    if (this.#ops === undefined) throw new Error("a change was used after its commit");
    return this.#ops;
  }
}
