// Who may ask what at a border, by where the two applications of a key are at home.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { BorderQuestion } from "../common/border-entries.ts";
import type { BorderPath } from "../ports/borders.ts";
import type { BorderHost } from "./border-host.ts";

/** What the table of applications says of the two ends of a key. */
export class BorderParties {
  readonly #appOf: BorderHost["appOf"];
  readonly #self: KmId;

  constructor({ appOf, context }: Pick<BorderHost, "appOf" | "context">) {
    this.#appOf = appOf;
    this.#self = context.self;
  }

  /** The home of a target that is at home at another KM of this network. */
  elsewhere({ target }: BorderPath): KmId | undefined {
    const to = this.#appOf(target);
    return to === undefined || to.border !== undefined || to.home === this.#self ? undefined : to.home;
  }

  /** Over which border keys leave for an application. @throws Fault NO_ROUTE */
  exitOf({ target }: BorderPath): KmId {
    const to = this.#appOf(target);
    if (to?.border !== undefined && to.home === this.#self) return to.border;
    throw new Fault("NO_ROUTE", { text: `no keys for ${target} leave at ${this.#self}` });
  }

  /** What comes over a border here. @throws Fault UNKNOWN_APPLICATION, NOT_ON_ROUTE, NOT_AUTHORIZED */
  checkArrival(border: KmId, { initiator, target }: BorderPath): void {
    const [from, to] = [this.#appOf(initiator), this.#appOf(target)];
    if (to === undefined || to.border !== undefined) {
      throw new Fault("UNKNOWN_APPLICATION", { text: `the application ${target} is none of this network` });
    }
    if (from !== undefined && from.border === undefined) {
      throw new Fault("NOT_ON_ROUTE", { text: `the initiator ${initiator} is an application of this network` });
    }
    if (from !== undefined && from.border !== border) {
      throw new Fault("NOT_AUTHORIZED", { text: `the initiator ${initiator} is behind another border` });
    }
  }

  /** What comes over a border of another KM, for an application here. @throws Fault UNKNOWN_APPLICATION, NOT_AT_HOME, NOT_AUTHORIZED */
  checkBeyond(peer: KmId, { initiator, target }: BorderQuestion): void {
    const [from, to] = [this.#appOf(initiator), this.#appOf(target)];
    if (to === undefined || to.border !== undefined) throw new Fault("UNKNOWN_APPLICATION");
    if (to.home !== this.#self) throw new Fault("NOT_AT_HOME", { text: `${target} is not at home here` });
    if (from !== undefined && (from.border === undefined || from.home !== peer)) {
      throw new Fault("NOT_AUTHORIZED", { text: `the initiator ${initiator} is not behind a border of ${peer}` });
    }
  }

  /** What leaves here for another KM's application. @throws Fault NOT_AUTHORIZED when who asked is not at home there */
  checkLeaving(peer: KmId, { initiator }: BorderPath): void {
    const from = this.#appOf(initiator);
    if (from?.home === peer && from.border === undefined) return;
    throw new Fault("NOT_AUTHORIZED", { text: `${initiator} is not at home at ${peer}` });
  }
}
