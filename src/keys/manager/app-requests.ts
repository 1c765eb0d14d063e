// What applications ask of this KM: keys on demand, keys by ID, how much there is, sessions. The one place between the doors
// and whoever supplies: it is there before the key inventory is read, and refuses until then.

import { asFault, Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { Borders } from "../borders/borders.ts";
import { checkSize } from "../common/sizes.ts";
import type { ApplicationTable } from "../directory/application-table.ts";
import type { Multicast } from "../multicast/multicast.ts";
import type { Answer, FetchRequest, KeyDoor, KeySizes, SupplyRequest, SupplyStatus } from "../ports/keys.ts";
import type { AppLine, SessionAnswer, SessionDoor, SessionKeysRequest, SessionRequest } from "../ports/sessions.ts";
import type { OverBorder } from "./over-border.ts";
import type { SharedPeers } from "./shared-peers.ts";

/** What is behind the doors once the key inventory is read. */
interface AppRequestsParts {
  readonly apps: ApplicationTable;
  readonly sharedPeers: SharedPeers;
  readonly multicast: Multicast;
  readonly sessions: SessionDoor;
  readonly overBorder: OverBorder;
  /** Undefined where the configuration has no border to another network. */
  readonly borders: () => Borders | undefined;
  /** @throws Fault when nothing may be done with keys now */
  readonly checkWorking: () => void;
}

/** A connection of an application that is open. */
interface AttachedLine {
  readonly line: AppLine;
  detach: () => void;
}

const NOTHING = (): void => {};

/** What applications ask of this KM: who asks, for whom, how much; then supply or fetch. */
export class AppRequests implements KeyDoor, SessionDoor {
  #sizes: KeySizes;
  #parts: AppRequestsParts | undefined;
  /** In the order in which they were opened. */
  readonly #lines = new Set<AttachedLine>();

  constructor(sizes: KeySizes) {
    this.#sizes = sizes;
  }

  get sizes(): KeySizes {
    return this.#sizes;
  }

  /** A key has this many bits when no size is asked, from now on. */
  resize(defaultBits: number): void {
    this.#sizes = { ...this.#sizes, defaultBits };
  }

  /** The key inventory is read: from now on applications are served. */
  open(parts: AppRequestsParts): void {
    this.#parts = parts;
    for (const attached of this.#lines) attached.detach = parts.sessions.attach(attached.line);
  }

  /** @throws Fault HSM_UNAVAILABLE until the key inventory is read */
  #opened(): AppRequestsParts {
    if (this.#parts === undefined) throw new Fault("HSM_UNAVAILABLE", { retryAfterMs: 1000 });
    return this.#parts;
  }

  supply(request: SupplyRequest, answer: Answer): () => void {
    return refusing(answer, () => {
      const { apps, sharedPeers, multicast, overBorder, checkWorking } = this.#opened();
      checkWorking();
      apps.checkSupply(request.app);
      const { home, border } = apps.get(request.destination);
      if (request.destination === request.app) {
        throw new Fault("MALFORMED_REQUEST", { text: "an application cannot ask for keys with itself" });
      }
      if (request.others !== undefined && request.others.length > 0) {
        checkInNetwork([request.destination, ...request.others], apps);
        return multicast.supply(request, answer);
      }
      const { sizes, desk } = sharedPeers.supplier(home);
      checkSize(request, sizes);
      if (border === undefined) return desk.request(request, answer);
      return overBorder.supply(request, { home, border }, answer, (granted) => desk.request(request, granted));
    });
  }

  fetch(request: FetchRequest, answer: Answer): () => void {
    return refusing(answer, () => {
      const { apps, borders, multicast, checkWorking } = this.#opened();
      checkWorking();
      apps.checkFetch(request.app);
      if (multicast.knows(request)) return multicast.fetch(request, answer);
      return borders()?.fetch(request, answer) ?? this.fetchHere(request, answer);
    });
  }

  /** Keys that the links of this network brought; asks not whether `app` may connect here. */
  fetchHere(request: FetchRequest, answer: Answer): () => void {
    return refusing(answer, () => this.fetchFrom(sourceOf(request, this.#opened()), request, answer));
  }

  /** Keys that a KM has supplied; asks not who may ask. */
  fetchFrom(source: KmId, request: FetchRequest, answer: Answer): () => void {
    return refusing(answer, () => this.#opened().sharedPeers.fetch(source, request, answer));
  }

  status(_app: AppId, other: AppId): SupplyStatus {
    const { apps, sharedPeers } = this.#opened();
    return sharedPeers.status(apps.get(other).home);
  }

  attach(line: AppLine): () => void {
    const attached: AttachedLine = { line, detach: NOTHING };
    this.#lines.add(attached);
    if (this.#parts !== undefined) attached.detach = this.#parts.sessions.attach(line);
    return () => {
      this.#lines.delete(attached);
      attached.detach();
    };
  }

  createSession(request: SessionRequest, answer: SessionAnswer): () => void {
    return refusing(answer, () => this.#opened().sessions.createSession(request, answer));
  }

  sessionKeys(request: SessionKeysRequest, answer: Answer): () => void {
    return refusing(answer, () => this.#opened().sessions.sessionKeys(request, answer));
  }
}

/** Begins a request, or refuses it with what stands against it. */
function refusing(answer: Pick<Answer, "refused">, begin: () => () => void): () => void {
  try {
    return begin();
  } catch (thrown) {
    answer.refused(asFault(thrown));
    return NOTHING;
  }
}

/** @throws Fault NO_ROUTE */
function checkInNetwork(several: readonly AppId[], apps: ApplicationTable): void {
  for (const app of several) {
    if (apps.find(app)?.border === undefined) continue;
    throw new Fault("NO_ROUTE", { text: `${app} is of another network, where keys are for one application` });
  }
}

/** The initiator's home when the keys were supplied; its home now where none of its homes knows the first ID. */
function sourceOf({ app, initiator, keyIds }: FetchRequest, { apps, sharedPeers }: AppRequestsParts): KmId {
  const homes = apps.homesOf(initiator);
  const [home] = homes;
  const [first] = keyIds;
  if (homes.length === 1 || first === undefined) return home;
  return homes.find((km) => sharedPeers.hasSupplied(km, first, { initiator, target: app })) ?? home;
}
