// What applications ask of this KM: keys on demand, keys by ID, and how much there is. Sessions are another door.

import { asFault, Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { Borders } from "../borders/borders.ts";
import type { Context } from "../common/context.ts";
import { checkSize } from "../common/sizes.ts";
import type { ApplicationTable } from "../directory/application-table.ts";
import { isNamed, type KeyFetcher } from "../fetch/fetch.ts";
import type { Multicast } from "../multicast/multicast.ts";
import type { Answer, FetchRequest, KeyDoor, KeySizes, SupplyRequest, SupplyStatus } from "../ports.ts";
import type { StrictPeers } from "../strict/strict.ts";
import { supplyStatus } from "../supply/supply-status.ts";
import { OverBorder } from "./over-border.ts";
import type { SharedPeers } from "./shared-peers.ts";

interface AppRequestsParts {
  readonly apps: ApplicationTable;
  readonly sharedPeers: SharedPeers;
  readonly strict: StrictPeers;
  readonly keyFetcher: KeyFetcher;
  readonly multicast: Multicast;
  /** Undefined where the configuration has no border to another network. */
  readonly borders: () => Borders | undefined;
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
  readonly #overBorder: OverBorder;

  constructor(context: Context, parts: AppRequestsParts) {
    this.#context = context;
    this.#parts = parts;
    this.#overBorder = new OverBorder(context, parts);
    this.sizes = parts.sizes;
  }

  supply(request: SupplyRequest, answer: Answer): () => void {
    const { apps, sharedPeers, strict, checkWorking } = this.#parts;
    try {
      checkWorking();
      apps.checkSupply(request.app);
      const { home, border } = apps.get(request.destination);
      if (request.destination === request.app) {
        throw new Fault("MALFORMED_REQUEST", { text: "an application cannot ask for keys with itself" });
      }
      if (request.others !== undefined && request.others.length > 0) {
        for (const app of [request.destination, ...request.others]) {
          if (apps.find(app)?.border === undefined) continue;
          throw new Fault("NO_ROUTE", { text: `${app} is of another network, where keys are for one application` });
        }
        return this.#parts.multicast.supply(request, answer);
      }
      const { sizes, desk } = strict.get(home) ?? sharedPeers.for(home);
      checkSize(request, sizes);
      if (border === undefined) return desk.request(request, answer);
      return this.#overBorder.supply(request, { home, border }, answer, (granted) => desk.request(request, granted));
    } catch (thrown) {
      answer.refused(asFault(thrown));
      return NOTHING;
    }
  }

  fetch(request: FetchRequest, answer: Answer): () => void {
    const { apps, borders, multicast, checkWorking } = this.#parts;
    try {
      checkWorking();
      apps.checkFetch(request.app);
      if (multicast.knows(request)) return multicast.fetch(request, answer);
      return borders()?.fetch(request, answer) ?? this.fetchHere(request, answer);
    } catch (thrown) {
      answer.refused(asFault(thrown));
      return NOTHING;
    }
  }

  /** Keys that the links of this network brought; asks not whether `app` may connect here. */
  fetchHere(request: FetchRequest, answer: Answer): () => void {
    const { apps, sharedPeers, strict, keyFetcher } = this.#parts;
    try {
      const source = this.#sourceOf(request, apps.homesOf(request.initiator));
      const other = strict.get(source);
      if (other !== undefined) return other.held.request(request, answer);
      const held = sharedPeers.of(source)?.held;
      if (held === undefined) throw new Fault("KEY_NOT_FOUND");
      return keyFetcher.request(request, held, answer);
    } catch (thrown) {
      answer.refused(asFault(thrown));
      return NOTHING;
    }
  }

  /** The initiator's home when the keys were supplied; its home now where none of its homes knows the first ID. */
  #sourceOf({ app, initiator, keyIds }: FetchRequest, homes: readonly [KmId, ...KmId[]]): KmId {
    const [home] = homes;
    const [first] = keyIds;
    if (homes.length === 1 || first === undefined) return home;
    const { sharedPeers, strict } = this.#parts;
    const parties = { destination: this.#context.self, initiator, target: app };
    const knows = (km: KmId): boolean => {
      const held = sharedPeers.of(km)?.held;
      return held === undefined ? (strict.get(km)?.held.knows(first) ?? false) : isNamed(first, held, parties);
    };
    return homes.find(knows) ?? home;
  }

  status(_app: AppId, other: AppId): SupplyStatus {
    const { apps, sharedPeers, strict } = this.#parts;
    const { home } = apps.get(other);
    return strict.get(home)?.status ?? supplyStatus(this.#context, sharedPeers.for(home), this.sizes.defaultBits);
  }
}
