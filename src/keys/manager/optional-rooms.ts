// Rooms that not every key manager has: streams, borders, links of boxes. Whoever has a door or a link for one loads its code
// and makes it; until then it is not there.

import type { KmId } from "../../core/ids.ts";
import type { BorderHost, StoredBorderRow } from "../borders/border-host.ts";
import type { Borders } from "../borders/borders.ts";
import type { LinkInventory } from "../links/link-inventory.ts";
import type { ExchangeHost } from "../sources/block-exchange.ts";
import type { StreamHost } from "../streams/stream-host.ts";
import type { Streams } from "../streams/streams.ts";
import type { LinkExchange } from "../sync/peer-requests.ts";
import { type Around, borderHost, connectionTo, streamHost } from "./hosts.ts";

/** Those that this key manager has, as far as they are made. */
export class OptionalRooms {
  readonly #around: Around;
  #streams: Streams | undefined;
  #borders: Borders | undefined;
  /** What the store had of borders at the start. */
  #borderRows: StoredBorderRow[] = [];
  /** By link. */
  readonly #exchanges = new Map<string, { readonly peer: KmId; readonly exchange: LinkExchange }>();

  constructor(around: Around) {
    this.#around = around;
  }

  /** Key streams, if this KM has a door for them. */
  get streams(): Streams | undefined {
    return this.#streams;
  }

  /** Borders to other networks, if this KM has any. */
  get borders(): Borders | undefined {
    return this.#borders;
  }

  /** What agrees with a peer on the blocks of a link; undefined for one whose blocks come from modules, or that there is not. */
  exchange(peer: KmId, link: unknown): LinkExchange | undefined {
    const open = typeof link === "string" ? this.#exchanges.get(link) : undefined;
    return open?.peer === peer ? open.exchange : undefined;
  }

  /** Once. */
  openStreams(make: (host: StreamHost) => Streams): Streams {
    const made = make(streamHost(this.#around));
    this.#streams = made;
    return made;
  }

  /** What `openBorders` gives them. */
  restoreBorders(rows: readonly StoredBorderRow[]): void {
    this.#borderRows = [...rows];
  }

  /** Once. */
  openBorders(make: (host: BorderHost) => Borders): void {
    this.#borders = make(borderHost(this.#around, this.#borderRows.splice(0)));
  }

  /** A link's blocks are agreed on with the other KM by what `make` makes, until it is closed. */
  openExchange<Exchange extends LinkExchange>(link: LinkInventory, make: (host: ExchangeHost) => Exchange): Exchange {
    const { context, peers } = this.#around;
    const { id, peer } = link.settings;
    const exchange = make({ context, link, connection: () => connectionTo(peers, peer) });
    this.#exchanges.set(id, { peer, exchange });
    return exchange;
  }

  /** Nothing happens where the link has another one by now. */
  closeExchange(link: string, exchange: LinkExchange): void {
    if (this.#exchanges.get(link)?.exchange === exchange) this.#exchanges.delete(link);
  }
}
