// The page: takes snapshots from the event stream, shows them, and asks for the plots and the detail of what is chosen.

import type { Detail, History, KmSummary, LinkSummary, Snapshot } from "../model.ts";
import { showDetail } from "./detail.ts";
import { byId, html, setText } from "./dom.ts";
import { FaultList, RelayList, Tables } from "./lists.ts";
import { NetworkMap } from "./map.ts";
import { Plots } from "./plots.ts";

/** How often plots and detail are asked for. */
const ASK_MS = 2000;
/** Without a snapshot for so long, the view is no longer live. */
const SILENT_MS = 4000;

const map = new NetworkMap(byId<SVGSVGElement>("graph"), choose);
const faults = new FaultList(byId("fault-list"));
const relays = new RelayList(byId("relay-list"));
const tables = new Tables(byId("link-table"), byId("km-table"));
const plots = new Plots(byId("plot-list"));
const find = byId<HTMLInputElement>("find");

/** `km:ID`, `link:ID`, or nothing: it is in the address, so that Back works and a reload shows the same. */
const chosen = (): string => decodeURIComponent(location.hash.slice(1)).match(/^(?:km|link):.+/)?.[0] ?? "";

function choose(what: string): void {
  location.hash = encodeURIComponent(what);
}

let isFirst = true;
let heardAt = performance.now();
let numbers = { relays: 0, faults: 0 };
let names = "";

function show(snapshot: Snapshot): void {
  heardAt = performance.now();
  map.show(snapshot);
  if (isFirst) map.mark(chosen());
  tables.show(snapshot);
  // After an interruption the stream begins with what is here already.
  const newRelays = snapshot.relays.filter(({ number }) => number > numbers.relays).toSorted((a, b) => a.at - b.at);
  relays.add(newRelays);
  faults.add(snapshot.faults.filter(({ number }) => number > numbers.faults));
  numbers = {
    relays: snapshot.relays.at(-1)?.number ?? numbers.relays,
    faults: snapshot.faults.at(-1)?.number ?? numbers.faults,
  };
  if (!isFirst) map.animate(newRelays);
  isFirst = false;
  showSummary(snapshot);
  offerNames(snapshot);
}

function showSummary({ kms, links }: Snapshot): void {
  const [ready, up] = [kms.filter(({ state }) => state === "ready"), links.filter(({ state }) => state === "up")];
  const keys = kms.reduce((sum, { keysPerS }) => sum + keysPerS, 0);
  const parts = [
    pill(`${ready.length} of ${kms.length} KMs ready`, ready.length === kms.length),
    pill(`${up.length} of ${links.length} links up`, up.length === links.length),
    pill(`${keys.toFixed(1)} keys/s`, true),
  ];
  const list = byId("summary");
  if (list.textContent !== parts.map(({ textContent }) => textContent).join("")) list.replaceChildren(...parts);
  const troubles = kms.length - ready.length + links.length - up.length;
  document.title = troubles === 0 ? "qkm view" : `(${troubles}) qkm view`;
}

const pill = (text: string, isGood: boolean): HTMLElement => html("li", { class: isGood ? "good" : "bad" }, text);

function offerNames({ kms, links }: Snapshot): void {
  const all = [...kms, ...links].map(({ id }: KmSummary | LinkSummary) => id);
  if (all.join() === names) return;
  names = all.join();
  byId("names").replaceChildren(...all.map((id) => html("option", { value: id })));
  find.dataset.kms = JSON.stringify(kms.map(({ id }) => id));
  find.dataset.links = JSON.stringify(links.map(({ id }) => id));
}

/** Undefined when the server says no, or does not answer: the stream tells that. */
async function ask<Answer>(what: "history" | "detail", of: string): Promise<Answer | undefined> {
  try {
    const response = await fetch(`/api/${what}?of=${encodeURIComponent(of)}`);
    return response.ok ? ((await response.json()) as Answer) : undefined;
  } catch {
    return undefined;
  }
}

async function refresh(): Promise<void> {
  const of = chosen();
  const [history, detail] = await Promise.all([
    ask<History>("history", of === "" ? "network" : of),
    of === "" ? undefined : ask<Detail>("detail", of),
  ]);
  if (of !== chosen()) return;
  byId("detail").hidden = detail === undefined;
  if (detail !== undefined) showDetail(detail);
  setText(byId("plots-of"), of === "" ? "whole network" : of.replace(":", " "));
  if (history !== undefined) plots.show(history);
}

async function turn(): Promise<void> {
  map.mark(chosen());
  await refresh();
  if (chosen() !== "") byId("detail").scrollIntoView({ block: "nearest" });
}

function listen(): void {
  const stream = new EventSource("/api/events");
  stream.onmessage = ({ data }: MessageEvent<string>) => show(JSON.parse(data) as Snapshot);
  setInterval(() => {
    const isLive = performance.now() - heardAt < SILENT_MS;
    const lost =
      stream.readyState === EventSource.CLOSED
        ? "no longer admitted: take a new link from the terminal"
        : "the view does not answer; what is shown is old";
    setText(byId("live"), isLive ? "live" : lost);
    document.body.classList.toggle("old", !isLive);
  }, 500);
}

function findNamed(): void {
  const { kms = "[]", links = "[]" } = find.dataset;
  const isKm = (JSON.parse(kms) as string[]).includes(find.value);
  const isLink = (JSON.parse(links) as string[]).includes(find.value);
  if (!isKm && !isLink) return;
  const what = `${isKm ? "km" : "link"}:${find.value}`;
  choose(what);
  map.focus(what);
  find.value = "";
}

function close(): void {
  const was = chosen();
  if (was === "") return;
  history.pushState(null, "", location.pathname);
  void turn();
  map.focus(was);
}

addEventListener("hashchange", () => void turn());
addEventListener("popstate", () => void turn());
addEventListener("keydown", (event) => {
  if (event.key === "Escape") close();
  if (event.key === "/" && !(event.target instanceof HTMLInputElement)) {
    event.preventDefault();
    find.focus();
  }
});
find.addEventListener("change", findNamed);
byId("close").addEventListener("click", close);
byId("zoom-in").addEventListener("click", () => map.viewport.zoom(1.4));
byId("zoom-out").addEventListener("click", () => map.viewport.zoom(1 / 1.4));
byId("zoom-all").addEventListener("click", () => map.viewport.all());
listen();
void turn();
setInterval(() => {
  if (!document.hidden) void refresh();
}, ASK_MS);
