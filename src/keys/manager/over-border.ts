// Keys for an application in another network: supplied like any others, but given only when that network has relayed them.

import { asFault, Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Borders } from "../borders/borders.ts";
import type { Context } from "../common/context.ts";
import { idsOf } from "../common/grant-ids.ts";
import type { Answer, Grant, SupplyRequest } from "../ports.ts";

/** Where keys for an application in another network leave. */
export interface Exit {
  /** The KM at the border. */
  readonly home: KmId;
  readonly border: KmId;
}

/** Supplies keys over borders. */
export class OverBorder {
  readonly #context: Context;
  readonly #borders: () => Borders | undefined;

  /** `borders` gives none where the configuration has none. */
  constructor(context: Context, borders: () => Borders | undefined) {
    this.#context = context;
    this.#borders = borders;
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
        this.#leave(request, exit, grant, givenUp.signal).then(
          () => this.#give(grant, answer, givenUp.signal),
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

  /** @throws Fault NO_ROUTE */
  #check({ home, border }: Exit): void {
    if (home !== this.#context.self) {
      throw new Fault("NO_ROUTE", { text: `keys leave over the border ${border} only at ${home}` });
    }
    if (this.#borders() === undefined) {
      throw new Fault("NO_ROUTE", { text: `this key manager has no [etsi020], and so no border ${border}` });
    }
  }

  async #leave(
    { app, destination }: SupplyRequest,
    { border }: Exit,
    grant: Grant,
    signal: AbortSignal,
  ): Promise<void> {
    const path = { initiator: app, target: destination };
    await this.#borders()?.depart(border, path, idsOf(grant), signal);
  }

  #give(grant: Grant, answer: Answer, givenUp: AbortSignal): void {
    if (givenUp.aborted) {
      grant[Symbol.dispose]();
      return;
    }
    try {
      answer.granted(grant);
    } catch (err) {
      grant[Symbol.dispose]();
      this.#context.log.error({ err }, "a request broke off when it was answered");
    }
  }
}
