// What is known of a network: what each KM said last, what happened, and the last hour.

import { FAULTS } from "../core/fault.ts";
import { kmDetail, linkDetail } from "./details.ts";
import { Events } from "./events.ts";
import { kmPlots, linkPlots, networkPlots, type Seen, setFigures } from "./figures.ts";
import { KmRates } from "./km-rates.ts";
import type { Detail, FaultEvent, History, KmSummary, LinkSummary, RelayEvent, Snapshot } from "./model.ts";
import { noticedOfKm, noticedOfLink } from "./noticed.ts";
import { disagreeingHop, type KnownKm, kmSummary, linkSummary, type Overview } from "./summaries.ts";
import { Timeline } from "./timeline.ts";

/** The KMs and links that there are to look at. */
export interface NetworkShape {
  readonly kms: readonly string[];
  readonly links: readonly { readonly id: string; readonly kms: readonly [string, string] }[];
}

const RELAYS_KEPT = 200;
const FAULTS_KEPT = 300;
/** How long a link is shown as disagreeing after a tag that did not fit. */
const DISAGREES_MS = 30_000;

interface Heard {
  said: Overview | undefined;
  silence: string;
  readonly rates: KmRates;
  summary: KmSummary | undefined;
}

/** All times in milliseconds since 1970. */
export class NetworkState {
  readonly #shape: NetworkShape;
  readonly #heard: ReadonlyMap<string, Heard>;
  readonly #links = new Map<string, LinkSummary>();
  /** When a tag over key of a link last did not fit, by link. */
  readonly #disagreed = new Map<string, number>();
  readonly #relays = new Events<Omit<RelayEvent, "number">>(RELAYS_KEPT);
  readonly #faults = new Events<Omit<FaultEvent, "number">>(FAULTS_KEPT);
  readonly #line = new Timeline();
  /** As of the last `refresh`. */
  #seen: Seen;
  #nowMs: number;

  constructor(shape: NetworkShape, nowMs: number) {
    this.#shape = shape;
    const silent = (): Heard => ({ said: undefined, silence: "", rates: new KmRates(), summary: undefined });
    this.#heard = new Map(shape.kms.map((id) => [id, silent()]));
    this.#nowMs = nowMs;
    this.#seen = this.#look(nowMs);
  }

  /** A KM has answered; `said.relays` and `said.faults` are those that it had not told before. */
  heard(id: string, said: Overview, nowMs: number): void {
    const km = this.#heard.get(id);
    if (km === undefined) return;
    km.said = said;
    km.rates.add(said, nowMs);
    for (const { ended_at, transit, destination, outcome, failed_at, ms } of said.relays) {
      const route = [id, ...transit, destination];
      const at = Date.parse(ended_at);
      this.#relays.add({ at, route, outcome, failedAt: failed_at, ms });
      if (outcome === "BAD_TAG") this.#noteDisagreement(disagreeingHop(route, failed_at), at);
    }
    for (const { at, level, message, fault, alarm, about } of said.faults) {
      this.#faults.add({
        at: Date.parse(at),
        km: id,
        level: level === "warn" ? "warn" : "error",
        message,
        fault,
        remedy: fault !== null && Object.hasOwn(FAULTS, fault) ? FAULTS[fault as keyof typeof FAULTS].manual : null,
        about: alarm === null ? about : [`alarm=${alarm}`, ...about],
      });
    }
  }

  /** A KM did not answer. */
  silent(id: string, why: string): void {
    const km = this.#heard.get(id);
    if (km === undefined) return;
    km.said = undefined;
    km.silence = why;
    km.rates.clear();
  }

  #noteDisagreement(hop: readonly [string, string] | undefined, at: number): void {
    const link = this.#shape.links.find(({ kms }) => hop?.every((km) => kms.includes(km)));
    if (link !== undefined) this.#disagreed.set(link.id, at);
  }

  /** Looks at all that was heard, and notes what changed since the last time; called some times a second. */
  refresh(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#seen = this.#look(nowMs);
    const { kms, links } = this.#seen;
    for (const { id, summary } of kms) {
      const km = this.#heard.get(id);
      const noticed = noticedOfKm(km?.summary, summary);
      if (km !== undefined) km.summary = summary;
      if (noticed !== undefined) this.#faults.add({ ...noticed, at: nowMs });
    }
    for (const { id, summary } of links) {
      const noticed = noticedOfLink(this.#links.get(id), summary);
      this.#links.set(id, summary);
      if (noticed !== undefined) this.#faults.add({ ...noticed, at: nowMs });
    }
  }

  #look(nowMs: number): Seen {
    const answers = (id: string) => this.#heard.get(id)?.said !== undefined;
    const kms = [...this.#heard].map(([id, { said, silence, rates }]) => {
      const known: KnownKm = { id, said, silence, keysPerS: rates.keysPerS };
      return { ...known, summary: kmSummary(known, answers, nowMs), appsPerS: rates.appsPerS };
    });
    const links = this.#shape.links.map(({ id, kms: pair }) => {
      const ends = pair.flatMap((km) => {
        const told = this.#heard.get(km)?.said?.links.find((link) => link.link === id);
        return told === undefined ? [] : [{ km, told }];
      });
      const disagreed = nowMs - (this.#disagreed.get(id) ?? Number.NEGATIVE_INFINITY) < DISAGREES_MS;
      const known = { id, kms: pair, ends, disagreed };
      return { ...known, summary: linkSummary(known) };
    });
    return { kms, links };
  }

  /** Keeps the figures of the last look for the plots; called every two seconds. */
  step(nowMs: number): void {
    this.#line.step(nowMs);
    setFigures(this.#line, this.#seen);
  }

  /** Everything as of the last look, and what happened after those numbers. */
  snapshot(relaysAfter = 0, faultsAfter = 0): Snapshot {
    const { kms, links } = this.#seen;
    return {
      at: this.#nowMs,
      kms: kms.map(({ summary }) => summary),
      links: links.map(({ summary }) => summary),
      relays: this.#relays.after(relaysAfter),
      faults: this.#faults.after(faultsAfter),
    };
  }

  /** `network`, `km:ID` or `link:ID`; undefined when there is none of that name. */
  history(of: string): History | undefined {
    const seen = this.#seen;
    const [kind, id] = named(of);
    const link = seen.links.find((one) => kind === "link" && one.id === id);
    const times = this.#line.times;
    if (kind === "network") return { times, plots: networkPlots(this.#line, seen) };
    if (kind === "km" && this.#heard.has(id)) return { times, plots: kmPlots(this.#line, seen, id) };
    return link && { times, plots: linkPlots(this.#line, link) };
  }

  /** `km:ID` or `link:ID`; undefined when there is none of that name. */
  detail(of: string): Detail | undefined {
    const { kms, links } = this.#seen;
    const [kind, id] = named(of);
    const km = kms.find((one) => kind === "km" && one.id === id);
    const link = links.find((one) => kind === "link" && one.id === id);
    return km ? kmDetail(km, this.#nowMs) : link && linkDetail(link);
  }
}

/** IDs may have colons themselves. */
function named(of: string): readonly [kind: string, id: string] {
  const colon = of.indexOf(":");
  return colon < 0 ? [of, ""] : [of.slice(0, colon), of.slice(colon + 1)];
}
