// The console of one line: login, then one command after the other until log-out, and again.

import { Fault } from "../core/fault.ts";
import type { Clock } from "../core/ports.ts";
import { allowedTo, type Command, completed, following, tokensOf, understood } from "./commands/command.ts";
import { COMMANDS } from "./commands/commands.ts";
import type { Login } from "./login.ts";
import { type ConsoleNode, KmDown } from "./node.ts";
import type { Operator } from "./operators.ts";
import { sampleRates } from "./rates.ts";
import type { Session, Settings } from "./session.ts";
import { Ended, type Keyboard } from "./terminal/keyboard.ts";
import { pause } from "./terminal/pause.ts";
import type { Screen } from "./terminal/screen.ts";
import { Histories } from "./terminal/sparkline.ts";

/** What a console is made of. */
export interface ConsoleParts {
  readonly node: ConsoleNode;
  readonly keyboard: Keyboard;
  readonly screen: Screen;
  readonly clock: Clock;
  /** Whether somebody may leave the login prompt, with Ctrl-D or Ctrl-C. */
  readonly mayLeave: boolean;
}

type User = Session["user"];

const IDLE_MINUTES = 10;
/** How long somebody may take to type a PIN. */
const LOGIN_MS = 60_000;
const NOBODY = "Nobody can log in yet: this node has no operators. Start it with a config medium that names some.";
/** Lines of a page. */
const PAGE = 22;

/** Asks for name and PIN until one of them fits. @throws Ended hang-up */
export async function logIn(parts: ConsoleParts, login: Login): Promise<Operator> {
  const { node, keyboard, screen, clock, mayLeave } = parts;
  for (;;) {
    screen.say("", `${node.id ?? "a node without configuration"}   board ${node.board}   qkm ${node.version}`);
    await pause(clock, login.delayMs, keyboard.gone);
    keyboard.forget();
    const user = await tryLogin(parts, login).catch((thrown: unknown) => {
      if (thrown instanceof Ended && (mayLeave || thrown.why === "hang-up")) throw thrown;
      if (!(thrown instanceof Ended)) screen.say(...messageOf(thrown));
      return undefined;
    });
    if (user !== undefined) return user;
  }
}

async function tryLogin(parts: ConsoleParts, login: Login): Promise<Operator | undefined> {
  const { node, keyboard, screen, clock } = parts;
  const typed = await keyboard.readLine({ prompt: "login: ", signal: keyboard.gone });
  const name = typed.trim();
  if (name === "") return undefined;
  if (node.operators().length === 0) throw new Error(NOBODY);
  const late = new AbortController();
  const stopTimer = clock.after(LOGIN_MS, () => late.abort(new Ended("idle")));
  try {
    const pin = await keyboard.readLine({ prompt: "PIN: ", secret: true, signal: late.signal });
    const user = await login.try(name, pin);
    if (user !== undefined) return user;
    screen.say("Login incorrect.");
    // A name that nobody has may be a PIN, typed too early.
    const known = node.operators().some((one) => one.name === name);
    await noted(parts, known ? name : "unknown", "login refused");
    return undefined;
  } finally {
    stopTimer();
  }
}

/** A log entry that must not keep anybody from the console. */
async function noted({ node, screen }: Pick<ConsoleParts, "node" | "screen">, actor: string, what: string) {
  await node.note(actor, what).catch((thrown: unknown) => screen.say(`not in the audit log: ${messageOf(thrown)[0]}`));
}

/** One session of one person. @throws Ended hang-up */
export async function converse(parts: ConsoleParts, user: User): Promise<void> {
  const talk = new Conversation(parts, user);
  await noted(parts, user.name, `login as ${user.role}`);
  const why = await talk.run();
  await noted(parts, user.name, why === "log-out" ? "log-out" : `log-out: ${why}`);
  if (why === "idle") parts.screen.say("", "Logged out: nothing was typed for too long.");
  parts.keyboard.gone.throwIfAborted();
}

class Conversation {
  readonly #parts: ConsoleParts;
  readonly #user: User;
  readonly #settings: Settings = { idleMinutes: IDLE_MINUTES, pager: true };
  readonly #rates = new Histories();
  readonly #history: string[] = [];
  readonly #commands: readonly Command[];
  readonly #over = new AbortController();
  #command = new AbortController();
  #isLeaving = false;
  #typedAt: number;

  constructor(parts: ConsoleParts, user: User) {
    this.#parts = parts;
    this.#user = user;
    this.#commands = allowedTo(user.role, COMMANDS);
    this.#typedAt = parts.clock.monotonicMs();
  }

  /** Why it ended. */
  async run(): Promise<"log-out" | Ended["why"]> {
    const { keyboard, screen, node, clock } = this.#parts;
    keyboard.onActivity = () => {
      this.#typedAt = clock.monotonicMs();
    };
    keyboard.onInterrupt = () => this.#command.abort(new Ended("interrupt"));
    const stopIdle = this.#watchIdle();
    const stopSampling = sampleRates(node, this.#rates, clock);
    try {
      screen.say("", `${this.#user.name}, ${this.#user.role}. Type help for the commands.`);
      await this.#greet();
      for (;;) {
        await this.#step();
        if (this.#isLeaving) return "log-out";
      }
    } catch (thrown) {
      if (!(thrown instanceof Ended)) throw thrown;
      return thrown.why === "end-of-input" ? "log-out" : thrown.why;
    } finally {
      stopIdle();
      stopSampling();
      keyboard.onActivity = () => {};
      keyboard.onInterrupt = () => {};
    }
  }

  async #greet(): Promise<void> {
    const { node, screen } = this.#parts;
    await node.km.status().catch((thrown: unknown) => screen.say(...messageOf(thrown)));
  }

  #watchIdle(): () => void {
    const { clock } = this.#parts;
    let stop = (): void => {};
    const look = (): void => {
      const leftMs = this.#typedAt + this.#settings.idleMinutes * 60_000 - clock.monotonicMs();
      if (leftMs <= 0) this.#over.abort(new Ended("idle"));
      else stop = clock.after(leftMs, look);
    };
    look();
    this.#lookAgain = () => {
      stop();
      look();
    };
    return () => stop();
  }

  #lookAgain = (): void => {};

  /** Reads a command and does it. @throws Ended */
  async #step(): Promise<void> {
    const { keyboard, screen, node } = this.#parts;
    const sign = this.#user.role === "operator" ? "#" : ">";
    this.#command = new AbortController();
    try {
      const line = await keyboard.readLine({
        prompt: `${node.id ?? "qkm"}${sign} `,
        history: this.#history,
        complete: (typed) => completed(this.#session(), typed),
        signal: this.#over.signal,
      });
      await this.#obey(line);
    } catch (thrown) {
      if (thrown instanceof Ended && thrown.why !== "interrupt") throw thrown;
      screen.say(...(thrown instanceof Ended ? ["^C"] : messageOf(thrown)));
    }
  }

  async #obey(line: string): Promise<void> {
    const { screen } = this.#parts;
    const tokens = tokensOf(line);
    if (tokens.length === 0) return;
    const session = this.#session();
    if (tokens.at(-1) === "?") return await this.#announceNext(session, tokens.slice(0, -1));
    const found = understood(this.#commands, tokens);
    if ("problem" in found) {
      const other = understood(COMMANDS, tokens);
      const isForbidden = "command" in other;
      screen.say(...(isForbidden ? ["Only an operator may do this."] : problemLines(found)));
      return;
    }
    await this.#note(found.command, found.args);
    await orAborted(found.command.run(session, found.args), session.signal);
    this.#lookAgain();
  }

  /** @throws Fault when nothing may be changed, for the audit log cannot tell of it */
  async #note({ changes, words }: Command, args: readonly string[]): Promise<void> {
    const { name } = this.#user;
    const what = [...words, ...args].join(" ");
    if (changes === "urgent") await noted(this.#parts, name, what);
    else if (changes) await this.#parts.node.note(name, what);
  }

  async #announceNext(session: Session, tokens: readonly string[]): Promise<void> {
    const next = await following(session, tokens);
    this.#parts.screen.say(next.length === 0 ? "Enter" : next.join("  "));
  }

  #session(): Session {
    const { node, keyboard, screen, clock } = this.#parts;
    const signal = AbortSignal.any([this.#over.signal, this.#command.signal, keyboard.gone]);
    return {
      ...{ node, keyboard, screen, clock, signal },
      user: this.#user,
      commands: this.#commands,
      settings: this.#settings,
      rates: this.#rates,
      print: (lines) => this.#print(screen.laidOut(lines), signal),
      ask: (prompt) => keyboard.readLine({ prompt, signal }),
      logOut: () => {
        this.#isLeaving = true;
      },
    };
  }

  async #print(lines: readonly string[], signal: AbortSignal): Promise<void> {
    const { screen, keyboard } = this.#parts;
    for (let at = 0; at < lines.length; at += PAGE) {
      signal.throwIfAborted();
      screen.say(...lines.slice(at, at + PAGE));
      await screen.drained(signal);
      if (at + PAGE >= lines.length || !this.#settings.pager) continue;
      screen.raw(`--more-- (${lines.length - at - PAGE} lines; q ends) `);
      const key = await keyboard.readKey(signal);
      screen.erase();
      if (key === "q" || key === "\x03") return;
    }
  }
}

const problemLines = ({ problem, next }: { readonly problem: string; readonly next: readonly string[] }): string[] =>
  next.length === 0 ? [problem] : [problem, `  ${next.join("  ")}`];

/** What a command does, but no longer than until the signal. What it goes on to do then is nobody's. */
async function orAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  promise.catch(() => {});
  work.catch(() => {});
  if (signal.aborted) abort();
  await Promise.race([work, promise]);
  signal.removeEventListener("abort", abort);
}

/** What a person is told of an error. */
function messageOf(thrown: unknown): string[] {
  if (thrown instanceof KmDown) {
    return [
      `The key manager does not run: ${thrown.message}`,
      "Without it work: show configuration, show audit, logs, selftest, certificate, update, reboot, zeroise.",
    ];
  }
  if (thrown instanceof Fault) return [thrown.response];
  return (thrown instanceof Error ? thrown.message : String(thrown)).split("\n");
}
