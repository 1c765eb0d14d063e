// The lists beside the map: faults with their remedies, relays, and the tables of links and KMs.

import { bitRateText, percentText } from "../figures-text.ts";
import type { FaultEvent, KmSummary, LinkSummary, RelayEvent, Snapshot } from "../model.ts";
import { html, setAll, setText } from "./dom.ts";

const MOST_FAULTS = 60;
const MOST_RELAYS = 40;

const CLOCK = new Intl.DateTimeFormat("en", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const clock = (ms: number): string => CLOCK.format(ms);

/** Newest first; what is said again is counted and moves up. */
export class FaultList {
  readonly #root: HTMLElement;
  readonly #items = new Map<string, { readonly item: HTMLLIElement; times: number }>();

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  add(faults: readonly FaultEvent[]): void {
    if (faults.length === 0) return;
    if (this.#items.size === 0) this.#root.replaceChildren();
    for (const fault of faults.toSorted((a, b) => a.at - b.at)) this.#add(fault);
    for (const [key, { item }] of this.#items) {
      if (this.#items.size <= MOST_FAULTS) break;
      item.remove();
      this.#items.delete(key);
    }
  }

  #add(fault: FaultEvent): void {
    const key = [fault.km, fault.level, fault.message, fault.fault, linkOf(fault)].join("\n");
    const before = this.#items.get(key);
    before?.item.remove();
    this.#items.delete(key);
    const times = (before?.times ?? 0) + 1;
    const item = faultItem(fault, times);
    this.#items.set(key, { item, times });
    this.#root.prepend(item);
  }
}

/** The same line about another link is another fault. */
const linkOf = ({ about }: FaultEvent): string => about.find((one) => one.startsWith("link=")) ?? "";

function faultItem({ at, km, level, message, fault, remedy, about }: FaultEvent, times: number): HTMLLIElement {
  const head = html("p", { class: "what" }, html("b", {}, km), ` ${message}`);
  if (times > 1) head.append(html("span", { class: "times" }, `${times} times`));
  const codes = [...(fault === null ? [] : [fault]), ...about].map((text) => html("code", {}, text));
  return html(
    "li",
    { class: level },
    html("time", { datetime: new Date(at).toISOString() }, clock(at)),
    head,
    ...(codes.length > 0 ? [html("p", { class: "about" }, ...codes)] : []),
    ...(remedy === null ? [] : [html("p", { class: "remedy" }, remedy)]),
  );
}

/** The list of relays, newest first. */
export class RelayList {
  readonly #root: HTMLElement;
  #isEmpty = true;

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  add(relays: readonly RelayEvent[]): void {
    if (relays.length === 0) return;
    if (this.#isEmpty) this.#root.replaceChildren();
    this.#isEmpty = false;
    for (const relay of relays.slice(-MOST_RELAYS)) this.#root.prepend(relayItem(relay));
    while (this.#root.childElementCount > MOST_RELAYS) this.#root.lastElementChild?.remove();
  }
}

function relayItem({ at, route, outcome, failedAt, ms }: RelayEvent): HTMLLIElement {
  const isReady = outcome === "ready";
  const end = isReady ? `${ms} ms` : `${outcome}${failedAt === null ? "" : ` at ${failedAt}`}`;
  return html(
    "li",
    { class: isReady ? "good" : "bad" },
    html("time", { datetime: new Date(at).toISOString() }, clock(at)),
    html("span", { class: "route" }, route.join(" → ")),
    html("span", { class: "end" }, end),
  );
}

interface Row {
  readonly what: string;
  readonly state: string;
  readonly cells: readonly string[];
}

/** A table whose rows are changed in place and stand in the order of their states. */
class StateTable {
  readonly #body = html("tbody");
  readonly #rows = new Map<string, HTMLTableRowElement>();
  #order = "";

  constructor(root: HTMLTableElement, caption: string, columns: readonly string[]) {
    const head = html("thead", {}, html("tr", {}, ...columns.map((name) => html("th", { scope: "col" }, name))));
    root.append(html("caption", {}, caption), head, this.#body);
  }

  show(rows: readonly Row[]): void {
    for (const { what, state, cells } of rows) {
      const row = this.#rows.get(what) ?? this.#make(what, cells.length);
      setAll(row, { "data-state": state });
      for (const [at, text] of cells.entries()) {
        const cell = row.cells[at];
        if (cell !== undefined) setText(at === 0 ? (cell.firstElementChild ?? cell) : cell, text);
      }
    }
    const sorted = rows.toSorted((a, b) => rankOf(a) - rankOf(b)).map(({ what }) => what);
    if (sorted.join("\n") === this.#order) return;
    this.#order = sorted.join("\n");
    this.#body.replaceChildren(...sorted.flatMap((what) => this.#rows.get(what) ?? []));
  }

  #make(what: string, cells: number): HTMLTableRowElement {
    const name = html("th", { scope: "row" }, html("a", { href: `#${encodeURIComponent(what)}` }));
    const row = html("tr", {}, name, ...Array.from({ length: cells - 1 }, () => html("td")));
    this.#rows.set(what, row);
    return row;
  }
}

const RANKS: readonly string[] = ["down", "silent", "half", "trouble", "disagrees", "unknown", "starting"];
const rankOf = ({ state }: Row): number => RANKS.indexOf(state) + 1 || RANKS.length + 1;

/** The tables of links and KMs: the map, readable without a map. */
export class Tables {
  readonly #links: StateTable;
  readonly #kms: StateTable;

  constructor(links: HTMLTableElement, kms: HTMLTableElement) {
    this.#links = new StateTable(links, "Links", ["link", "between", "state", "key rate", "QBER", "blocks"]);
    this.#kms = new StateTable(kms, "Key managers", ["KM", "state", "keys a second", "applications", "waiting"]);
  }

  show({ kms, links }: Snapshot): void {
    this.#links.show(links.map(linkRow));
    this.#kms.show(kms.map(kmRow));
  }
}

const linkRow = ({ id, kms, state, why, bitsPerS, qber, usableBlocks }: LinkSummary): Row => ({
  what: `link:${id}`,
  state,
  cells: [
    id,
    kms.join(" ══ "),
    why === "" ? state : why,
    bitRateText(bitsPerS),
    percentText(qber),
    String(usableBlocks),
  ],
});

const kmRow = ({ id, state, why, keysPerS, apps, waiting }: KmSummary): Row => ({
  what: `km:${id}`,
  state,
  cells: [id, why === "" ? state : why, keysPerS.toFixed(1), String(apps), String(waiting)],
});
