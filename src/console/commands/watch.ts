// `watch`: links, rates and stock, drawn again and again until a key is pressed.

import { bitRate, percent } from "../../core/text/figures.ts";
import { KmDown, type KmFacts } from "../node.ts";
import { SAMPLE_MS } from "../rates.ts";
import type { Session } from "../session.ts";
import { Ended } from "../terminal/keyboard.ts";
import { pause } from "../terminal/pause.ts";
import { sparkline } from "../terminal/sparkline.ts";
import { table } from "../terminal/table.ts";
import type { Command } from "./command.ts";
import { complaintsOf, peerState, stateOf } from "./show.ts";

/** Lines that a screen of 24 has for it. */
const ROWS = 22;
const SPARK = 24;

async function watch(session: Session): Promise<void> {
  const { keyboard, screen, signal } = session;
  const over = new AbortController();
  const drawing = draw(session, AbortSignal.any([signal, over.signal]));
  try {
    await Promise.race([keyboard.readKey(signal), drawing]);
  } finally {
    over.abort(new Ended("interrupt"));
    await drawing.catch(() => {});
    keyboard.forget();
    screen.say("");
  }
}

/** A line that is slower than the pictures gets fewer. */
async function draw({ node, rates, screen, clock }: Session, signal: AbortSignal): Promise<never> {
  let before: readonly string[] = [];
  screen.clear();
  for (;;) {
    const lines = await picture(node.km.status(), { rates, time: new Date(clock.wallMs()) });
    signal.throwIfAborted();
    screen.redraw(lines, before);
    before = lines;
    await screen.drained(signal);
    await pause(clock, SAMPLE_MS, signal);
  }
}

type Moment = Pick<Session, "rates"> & { readonly time: Date };

async function picture(asked: Promise<KmFacts>, { rates, time }: Moment): Promise<readonly string[]> {
  const at = time.toISOString().slice(0, 19).replace("T", " ");
  try {
    const facts = await asked;
    return fitting([
      `${facts.km}  ${stateOf(facts)}  ${at} UTC`,
      "",
      ...linkRows(facts, rates),
      "",
      ...peerRows(facts),
    ]);
  } catch (thrown) {
    const why = thrown instanceof KmDown ? "the key manager does not run" : String(thrown);
    return [`${why}  ${at} UTC`];
  }
}

function linkRows({ links }: KmFacts, rates: Session["rates"]): string[] {
  const rows = links.map((link) => [
    link.id,
    link.line,
    percent(link.qber),
    bitRate(link.measuredBitsPerS),
    sparkline(rates.of(link.id), SPARK),
    String(link.stored),
    complaintsOf(link),
  ]);
  return table(["link", "line", "QBER", "key rate", "lately".padStart(SPARK), "blocks", ""], rows);
}

function peerRows({ km, peers }: KmFacts): string[] {
  const rows = peers.map((peer) => [
    peer.id === km ? `${peer.id} (own)` : peer.id,
    peerState(peer),
    peer.storedKeys.toLocaleString("en"),
    String(peer.kmaKeys),
    String(peer.waiting),
  ]);
  return table(["keys with", "state", "keys", "KMA-keys", "requests"], rows);
}

function fitting(lines: readonly string[]): readonly string[] {
  const end = "any key ends it";
  if (lines.length < ROWS) return [...lines, "", end];
  return [...lines.slice(0, ROWS - 1), `… ${lines.length - ROWS + 1} lines more: show links, show stock; ${end}`];
}

/** The command that draws until a key is pressed. */
export const WATCH: readonly Command[] = [
  {
    words: ["watch"],
    args: [],
    role: "auditor",
    about: "links, rates and stock, until a key is pressed",
    more: "Drawn every two seconds, where the line is fast enough; only what has changed is sent.",
    run: watch,
  },
];
