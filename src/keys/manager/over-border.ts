// Keys for an application in another network: supplied like any others, but given only when that network has relayed them.

import { asFault, Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Borders } from "../borders/borders.ts";
import { type LeavingKeys, leaveEntry, revokeEntry } from "../common/border-entries.ts";
import type { Context } from "../common/context.ts";
import { idsOf } from "../common/grant-ids.ts";
import type { Answer, SupplyRequest } from "../ports/keys.ts";
import type { PeerConnection } from "../ports/peers.ts";
import { deliver } from "../strict/strict-grant.ts";

/** Where keys for an application in another network leave. */
export interface Exit {
  /** The KM at the border. */
  readonly home: KmId;
  readonly border: KmId;
}

interface OverBorderParts {
  /** Undefined where the configuration has no border. */
  borders(): Borders | undefined;
  /** A connection to another KM whose state exchange has ended. */
  peerOf(km: KmId): Pick<PeerConnection, "tell"> | undefined;
}

/** Requests that wait for KMs at borders. */
const MOST_AWAY = 64;
/** How long the KM at a border may take. */
const AWAY_MS = 30_000;

/** Supplies keys over borders. */
export class OverBorder {
  readonly #context: Context;
  readonly #parts: OverBorderParts;
  #away = 0;

  constructor(context: Context, parts: OverBorderParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /**
   * Asks with `supply` for keys as if the application were at home at the border, and answers when they are beyond it.
   * @returns gives the request up: what is on its way will be void
   */
  supply(request: SupplyRequest, exit: Exit, answer: Answer, supply: (answer: Answer) => () => void): () => void {
    const givenUp = new AbortController();
    this.#check(exit);
    const giveUp = supply({
      granted: (grant) => {
        this.#leave(request, exit, idsOf(grant), givenUp.signal).then(
          () => deliver(this.#context.log, grant, givenUp.signal.aborted ? undefined : answer),
          (thrown: unknown) => {
            grant[Symbol.dispose]();
            if (!givenUp.signal.aborted) answer.refused(asFault(thrown));
          },
        );
      },
      refused: (fault) => answer.refused(fault),
    });
    return () => {
      giveUp();
      givenUp.abort();
    };
  }

  /** @throws Fault NO_ROUTE, PEER_UNAVAILABLE, BUSY */
  #check({ home, border }: Exit): void {
    if (home !== this.#context.self) {
      if (this.#away >= MOST_AWAY) throw new Fault("BUSY", { retryAfterMs: 1000 });
      this.#peer(home);
      return;
    }
    if (this.#parts.borders() === undefined) {
      throw new Fault("NO_ROUTE", { text: `this key manager has no [etsi020], and so no border ${border}` });
    }
  }

  /** @throws Fault PEER_UNAVAILABLE */
  #peer(home: KmId): Pick<PeerConnection, "tell"> {
    const peer = this.#parts.peerOf(home);
    if (peer !== undefined) return peer;
    throw new Fault("PEER_UNAVAILABLE", {
      text: `${home}, which has the border, is not connected`,
      retryAfterMs: 1000,
    });
  }

  async #leave(
    { app, destination }: SupplyRequest,
    { home, border }: Exit,
    keyIds: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    const path = { initiator: app, target: destination };
    if (home === this.#context.self) await this.#parts.borders()?.depart(border, path, keyIds, signal);
    else await this.#leaveAt(home, { ...path, keyIds }, signal);
  }

  /** The KM at the border fetches the keys by their IDs; it has success when they are beyond it. */
  async #leaveAt(home: KmId, keys: LeavingKeys, signal: AbortSignal): Promise<void> {
    const peer = this.#peer(home);
    const revoke = (): void => {
      peer.tell([revokeEntry(keys)], AWAY_MS).catch((err: unknown) => {
        this.#context.log.info({ peer: home, err }, "keys that nobody was given could not be taken back at the border");
      });
    };
    this.#away++;
    try {
      signal.addEventListener("abort", revoke, { once: true });
      if (signal.aborted) throw new Fault("STOPPING");
      await peer.tell([leaveEntry(keys)], AWAY_MS);
    } catch (thrown) {
      // It may have happened all the same; whoever said so itself has seen to it.
      if (asFault(thrown).code === "PEER_UNAVAILABLE" && !signal.aborted) revoke();
      throw thrown;
    } finally {
      this.#away--;
      signal.removeEventListener("abort", revoke);
    }
  }
}
