// At a border: keys that leave for applications whose home is another KM. That KM has supplied them, and names them.

import { Fault } from "../../../core/fault.ts";
import type { KmId } from "../../../core/ids.ts";
import type { LeavingKeys } from "../../common/border-entries.ts";

/** Sends keys over the border, or voids those that have arrived. */
export interface Exits {
  depart(keys: LeavingKeys, signal: AbortSignal): Promise<void>;
  revoke(keys: LeavingKeys): Promise<void>;
}

interface Leaving {
  readonly peer: KmId;
  readonly ended: AbortController;
}

/** What other KMs have under way over the borders here. */
export class BorderLeaves {
  readonly #exits: Exits;
  /** By the first key: an ID leaves once. */
  readonly #leaving = new Map<string, Leaving>();

  constructor(exits: Exits) {
    this.#exits = exits;
  }

  /** Resolves when they are relayed. @throws Fault, and none of them may be given to anybody */
  async leave(peer: KmId, keys: LeavingKeys): Promise<void> {
    const [first = ""] = keys.keyIds;
    if (this.#leaving.has(first)) throw new Fault("KEY_NOT_FOUND");
    const ended = new AbortController();
    this.#leaving.set(first, { peer, ended });
    try {
      await this.#exits.depart(keys, ended.signal);
    } finally {
      this.#leaving.delete(first);
    }
  }

  /** Nobody is given them: they are void, or will be. @throws Fault KEY_NOT_FOUND */
  async revoke(peer: KmId, keys: LeavingKeys): Promise<void> {
    const leaving = this.#leaving.get(keys.keyIds[0] ?? "");
    if (leaving?.peer === peer) leaving.ended.abort();
    else await this.#exits.revoke(keys);
  }

  /** Nobody there waits any more. */
  disconnected(peer: KmId): void {
    for (const leaving of this.#leaving.values()) if (leaving.peer === peer) leaving.ended.abort();
  }
}
