// What applications ask of this KM: keys on demand, keys by ID, and how much there is. Sessions are another door.

import { asFault, Fault } from "../../core/fault.ts";
import type { AppId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import { checkSize } from "../common/sizes.ts";
import type { KeyFetcher } from "../fetch/fetch.ts";
import type { Answer, FetchRequest, KeyDoor, KeySizes, SupplyRequest, SupplyStatus } from "../ports.ts";
import type { StrictPeers } from "../strict/strict.ts";
import { supplyStatus } from "../supply/supply-status.ts";
import type { Apps } from "./apps.ts";
import type { SharedPeers } from "./shared-peers.ts";

interface AppRequestsParts {
  readonly apps: Apps;
  readonly sharedPeers: SharedPeers;
  readonly strict: StrictPeers;
  readonly keyFetcher: KeyFetcher;
  readonly sizes: KeySizes;
  /** @throws Fault when nothing may be done with keys now */
  readonly checkWorking: () => void;
}

const NOTHING = (): void => {};

/** What applications ask of this KM: who asks, for whom, how much; then supply or fetch. */
export class AppRequests implements KeyDoor {
  readonly sizes: KeySizes;
  readonly #context: Context;
  readonly #parts: AppRequestsParts;

  constructor(context: Context, parts: AppRequestsParts) {
    this.#context = context;
    this.#parts = parts;
    this.sizes = parts.sizes;
  }

  supply(request: SupplyRequest, answer: Answer): () => void {
    const { apps, sharedPeers, strict, checkWorking } = this.#parts;
    try {
      checkWorking();
      const { home } = apps.get(request.destination);
      if (request.destination === request.app) {
        throw new Fault("MALFORMED_REQUEST", { text: "an application cannot ask for keys with itself" });
      }
      const mayWait = sharedPeers.waiting < this.#context.policy.maxWaiting;
      const other = strict.get(home);
      checkSize(request, other?.sizes ?? sharedPeers.sizes(home));
      return (other ?? sharedPeers.for(home)).desk.request(request, answer, mayWait);
    } catch (thrown) {
      answer.refused(asFault(thrown));
      return NOTHING;
    }
  }

  fetch(request: FetchRequest, answer: Answer): () => void {
    const { apps, sharedPeers, strict, keyFetcher, checkWorking } = this.#parts;
    try {
      checkWorking();
      const { home } = apps.get(request.initiator);
      const other = strict.get(home);
      if (other !== undefined) return other.held.request(request, answer);
      const held = sharedPeers.of(home)?.held;
      if (held === undefined) throw new Fault("KEY_NOT_FOUND");
      return keyFetcher.request(request, held, answer);
    } catch (thrown) {
      answer.refused(asFault(thrown));
      return NOTHING;
    }
  }

  status(_app: AppId, other: AppId): SupplyStatus {
    const { apps, sharedPeers, strict } = this.#parts;
    const { home } = apps.get(other);
    return strict.get(home)?.status ?? supplyStatus(this.#context, sharedPeers.for(home), this.sizes.defaultBits);
  }
}
