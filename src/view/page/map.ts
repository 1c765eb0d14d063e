// The map: KMs as circles, links as lines, relays as dots that travel. Elements are made once and changed where something changed.

import { bitRateText, digits, percentText } from "../figures-text.ts";
import type { KmSummary, LinkSummary, RelayEvent, Snapshot } from "../model.ts";
import { setAll, setText, svg } from "./dom.ts";
import { layout, nearestThatWay, type Place } from "./layout.ts";
import { Viewport } from "./viewport.ts";

/** Links beyond which the map shows their figures only for the one that is chosen. */
const MOST_LABELS = 24;
const MOST_DOTS = 30;
const MS_A_HOP = 600;
const WAYS: Readonly<Record<string, Place>> = {
  ArrowRight: { x: 1, y: 0 },
  ArrowLeft: { x: -1, y: 0 },
  ArrowDown: { x: 0, y: 1 },
  ArrowUp: { x: 0, y: -1 },
};

interface KmShape {
  readonly group: SVGGElement;
  readonly inside: SVGTextElement;
}

interface LinkShape {
  readonly group: SVGGElement;
  readonly line: SVGPathElement;
  readonly rate: SVGTextElement;
  readonly figures: SVGTextElement;
  readonly more: SVGTextElement;
  readonly mark: SVGTextElement;
}

/** `choose` is called with `km:ID` or `link:ID`. */
export class NetworkMap {
  readonly #root: SVGSVGElement;
  readonly #choose: (what: string) => void;
  readonly viewport: Viewport;
  readonly #layers = { links: svg("g"), dots: svg("g"), kms: svg("g") };
  readonly #kms = new Map<string, KmShape>();
  readonly #links = new Map<string, LinkShape>();
  #places: ReadonlyMap<string, Place> = new Map();
  #drawn = "";
  #dots = 0;

  constructor(root: SVGSVGElement, choose: (what: string) => void) {
    this.#root = root;
    this.#choose = choose;
    root.append(this.#layers.links, this.#layers.dots, this.#layers.kms);
    this.viewport = new Viewport(root);
    root.addEventListener("keydown", (event) => this.#key(event));
    root.addEventListener("click", ({ target }) => {
      const what = target instanceof Element ? target.closest("[data-what]")?.getAttribute("data-what") : null;
      if (what) this.#choose(what);
    });
  }

  show({ kms, links }: Snapshot): void {
    const drawn = JSON.stringify([kms.map(({ id }) => id), links.map(({ id }) => id)]);
    if (drawn !== this.#drawn) this.#draw(kms, links);
    this.#drawn = drawn;
    for (const km of kms) this.#showKm(km);
    for (const link of links) this.#showLink(link);
  }

  /** What is shown below is marked here. */
  mark(chosen: string): void {
    for (const element of this.#root.querySelectorAll("[data-what]")) {
      element.classList.toggle("chosen", element.getAttribute("data-what") === chosen);
    }
  }

  /** Gives the keyboard to a KM or link. */
  focus(what: string): void {
    const element = [...this.#root.querySelectorAll<SVGGElement>("[data-what]")].find(
      (one) => one.dataset.what === what,
    );
    element?.focus();
  }

  #draw(kms: readonly KmSummary[], links: readonly LinkSummary[]): void {
    const dense = kms.length > 30;
    const ids = kms.map(({ id }) => id);
    this.#places = layout(ids, links, dense ? 90 : kms.length > 12 ? 180 : 250);
    this.#root.classList.toggle("dense", dense);
    this.#root.classList.toggle("bare", links.length > MOST_LABELS);
    for (const layer of Object.values(this.#layers)) layer.replaceChildren();
    this.#kms.clear();
    this.#links.clear();
    const between = new Map<string, number>();
    for (const link of links) {
      const pair = link.kms.toSorted().join(" ");
      between.set(pair, (between.get(pair) ?? 0) + 1);
      this.#drawLink(link, (between.get(pair) ?? 1) - 1);
    }
    for (const [at, { id }] of kms.entries()) this.#drawKm(id, at === 0);
    this.viewport.fit([...this.#places.values()], dense ? 60 : 80);
  }

  #drawKm(id: string, isFirst: boolean): void {
    const { x, y } = this.#places.get(id) ?? { x: 0, y: 0 };
    const inside = svg("text", { class: "inside" });
    const group = svg(
      "g",
      {
        ...{ class: "km", role: "button", "data-what": `km:${id}`, tabindex: isFirst ? 0 : -1 },
        transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
      },
      svg("circle", { class: "halo" }),
      svg("circle", { class: "body" }),
      inside,
      svg("text", { class: "name" }, id),
    );
    group.addEventListener("focus", () => this.#rove(group));
    this.#layers.kms.append(group);
    this.#kms.set(id, { group, inside });
  }

  /** The n-th link between the same two KMs bends aside. */
  #drawLink({ id, kms }: LinkSummary, nth: number): void {
    const [from, to] = kms.map((km) => this.#places.get(km) ?? { x: 0, y: 0 });
    if (from === undefined || to === undefined) return;
    const length = Math.max(1, Math.hypot(to.x - from.x, to.y - from.y));
    const aside = Math.ceil(nth / 2) * 36 * (nth % 2 === 0 ? 1 : -1);
    const middle = {
      x: (from.x + to.x) / 2 - ((to.y - from.y) / length) * aside,
      y: (from.y + to.y) / 2 + ((to.x - from.x) / length) * aside,
    };
    const bend = { x: 2 * middle.x - (from.x + to.x) / 2, y: 2 * middle.y - (from.y + to.y) / 2 };
    const path = `M${textOf(from)} Q${textOf(bend)} ${textOf(to)}`;
    const line = svg("path", { class: "line", d: path });
    const rate = svg("text", { class: "rate", ...middle });
    const figures = svg("text", { class: "figures", ...middle });
    const more = svg("text", { class: "figures more", ...middle });
    const mark = svg("text", { class: "mark", ...middle });
    const group = svg(
      "g",
      { class: "link", role: "button", "data-what": `link:${id}`, tabindex: -1 },
      svg("path", { class: "reach", d: path }),
      line,
      mark,
      rate,
      figures,
      more,
    );
    group.addEventListener("focus", () => this.#rove(group));
    this.#layers.links.append(group);
    this.#links.set(id, { group, line, rate, figures, more, mark });
  }

  #showKm({ id, state, why, keysPerS, waiting }: KmSummary): void {
    const shape = this.#kms.get(id);
    if (shape === undefined) return;
    const keys = keysPerS > 0 ? `${keysPerS >= 10 ? Math.round(keysPerS) : keysPerS.toFixed(1)}/s` : "";
    const inside = { ready: keys, starting: "…", trouble: "!", silent: "×" }[state];
    setText(shape.inside, inside);
    const more = [why, keys && `${keys} keys`, waiting > 0 ? `${waiting} requests wait` : ""].filter(
      (part) => part !== "",
    );
    setAll(shape.group, { "data-state": state, "aria-label": [`KM ${id}: ${state}`, ...more].join(", ") });
  }

  #showLink({ id, kms, state, why, bitsPerS, qber, usableBlocks }: LinkSummary): void {
    const shape = this.#links.get(id);
    if (shape === undefined) return;
    const isUp = state === "up" || state === "disagrees";
    setText(shape.rate, isUp ? bitRateText(bitsPerS) : "");
    setText(shape.figures, isUp ? `QBER ${percentText(qber)}` : state);
    setText(shape.more, isUp ? `${usableBlocks} blocks` : "");
    setText(shape.mark, { up: "", disagrees: "≠", half: "×", down: "×", unknown: "?" }[state]);
    setAll(shape.group, {
      "data-state": state,
      "aria-label": `link ${id} between ${kms.join(" and ")}: ${[state, why, bitRateText(bitsPerS)].filter((part) => part !== "").join(", ")}`,
    });
    // Two pixels, and one more for each tenfold of a kilobit.
    const width = 2 + Math.max(0, Math.log10(Math.max(1, bitsPerS ?? 1) / 1000));
    setAll(shape.line, { "stroke-width": digits(width) });
  }

  /** One Tab leads into the map: to what had the keyboard last. */
  #rove(group: SVGGElement): void {
    for (const other of this.#root.querySelectorAll('[data-what][tabindex="0"]')) other.setAttribute("tabindex", "-1");
    group.setAttribute("tabindex", "0");
  }

  #key(event: KeyboardEvent): void {
    const at = event.target instanceof Element ? event.target.closest("[data-what]") : null;
    const what = at?.getAttribute("data-what") ?? "";
    if (what === "") return;
    const way = WAYS[event.key];
    if (event.key === "Enter" || event.key === " ") this.#choose(what);
    else if (way !== undefined) this.focus(this.#next(what, way));
    else return;
    event.preventDefault();
  }

  /** Links lie at the middle of their lines. */
  #next(what: string, way: Place): string {
    const all = new Map<string, Place>([...this.#places].map(([id, place]) => [`km:${id}`, place]));
    for (const [id, { rate }] of this.#links) {
      all.set(`link:${id}`, { x: Number(rate.getAttribute("x")), y: Number(rate.getAttribute("y")) });
    }
    return nearestThatWay(all, what, way) ?? what;
  }

  /** Dots that travel over the routes of relays that have just ended. */
  animate(relays: readonly RelayEvent[]): void {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches || document.hidden) return;
    for (const relay of relays.slice(-MOST_DOTS)) this.#travel(relay);
  }

  #travel({ route, outcome, failedAt }: RelayEvent): void {
    const end = failedAt === null ? route.length : route.indexOf(failedAt) + 1;
    const places = route.slice(0, Math.max(2, end)).flatMap((km) => this.#places.get(km) ?? []);
    if (places.length < 2 || this.#dots >= MOST_DOTS) return;
    const dot = svg("circle", { class: outcome === "ready" ? "dot" : "dot failed" });
    this.#layers.dots.append(dot);
    this.#dots += 1;
    const frames = places.map(({ x, y }) => ({ transform: `translate(${x}px, ${y}px)` }));
    const running = dot.animate(frames, { duration: MS_A_HOP * (places.length - 1), easing: "ease-in-out" });
    running.onfinish = () => {
      dot.remove();
      this.#dots -= 1;
    };
  }
}

const textOf = ({ x, y }: Place): string => `${x.toFixed(1)} ${y.toFixed(1)}`;
