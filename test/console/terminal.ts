// A console in the test's own process: a person's terminal at one end, a made-up node at the other, time by hand.

import { PassThrough } from "node:stream";
import { Login } from "../../src/console/login.ts";
import type { ConsoleNode, KmFacts, LinkFacts, RunningKm } from "../../src/console/node.ts";
import type { Operator } from "../../src/console/operators.ts";
import { converse, logIn } from "../../src/console/shell.ts";
import { Ended, Keyboard } from "../../src/console/terminal/keyboard.ts";
import { Screen } from "../../src/console/terminal/screen.ts";
import type { Charset } from "../../src/console/terminal/text.ts";
import { hashPin } from "../../src/core/pin-hash.ts";
import { ManualClock, settled } from "../support/manual-clock.ts";
import { until } from "../support/until.ts";

export const LINK: LinkFacts = {
  ...{ id: "ab", peer: "km-b", line: "up", module: "Module 7", qber: 0.016, keyRateBitsPerS: 2e6, alarms: [] },
  ...{ agreement: "agreed", stored: 20, usable: 10, blockBytes: 32_768, measuredBitsPerS: 1_990_000 },
  padBytes: { out: 65_536, in: 0 },
};

const AMOUNTS = { storedKeys: 8168, kmaKeys: 8, held: 8, inFlight: 0, waiting: 0 };
const CONNECTED = { reachable: true, connected: true, synchronised: true };

export const FACTS: KmFacts = {
  km: "km-a",
  ready: true,
  vault: { token: "ready", store: "ready", mode: "direct", epoch: 3, slots: { all: 127, pinned: 6, intake: 0 } },
  health: { healthy: true, parts: [{ name: "loop", healthy: true, silentMs: 3 }] },
  links: [LINK],
  peers: [
    { id: "km-a", ...CONNECTED, ...AMOUNTS },
    { id: "km-b", ...CONNECTED, ...AMOUNTS },
  ],
  sessions: { initiator: 1, destination: 0 },
};

const down = (): Promise<never> => Promise.reject(new Error("not asked in this test"));

export const runningKm = (more: Partial<RunningKm> = {}): RunningKm => ({
  status: async () => FACTS,
  sessions: async () => [],
  faults: async () => [],
  certificates: async () => [],
  metrics: async () => "# HELP x\nqkm_x_total 1\nqkm_y_total 2\n",
  setLink: down,
  forget: down,
  acceptModule: down,
  logLevel: down,
  reload: down,
  ...more,
});

/** A node of which a test makes up what it needs. `notes` collects what was to go to the audit log. */
export const madeNode = (more: Partial<ConsoleNode> = {}, notes: string[] = []): ConsoleNode => ({
  id: "km-a",
  board: "host",
  version: "0.0.0",
  km: runningKm(),
  operators: () => [],
  note: async (actor, what) => void notes.push(`${actor}: ${what}`),
  configuration: () => '[node]\nid = "km-a"\n',
  modules: () => [{ link: "ab", driver: "serial", port: "/dev/ttyUSB0" }],
  audit: async () => [],
  verifyAudit: async () => ["the audit log is whole"],
  logs: async () => [],
  checks: async () => [],
  zeroise: down,
  requests: async () => [],
  installCertificate: down,
  updates: () => [],
  updateContents: async () => [],
  update: down,
  reboot: () => {},
  ...more,
});

let operators: Promise<readonly Operator[]> | undefined;

/** olga (operator) and axel (auditor), whose PINs are 135790 and 246800. */
export const people = (): Promise<readonly Operator[]> => {
  operators ??= Promise.all([
    hashPin("135790").then((pin) => ({ name: "olga", role: "operator" as const, pin })),
    hashPin("246800").then((pin) => ({ name: "axel", role: "auditor" as const, pin })),
  ]);
  return operators;
};

/** Escape sequences of the line editor. */
const SEQUENCE = new RegExp(`${String.fromCharCode(27)}\\[[0-9;?]*[A-Za-z]`, "g");

export class Terminal {
  readonly clock = new ManualClock();
  readonly input = new PassThrough();
  readonly output = new PassThrough();
  readonly keyboard: Keyboard;
  readonly screen: Screen;
  readonly node: ConsoleNode;
  /** All that came, as it came. */
  raw = "";
  /** How the console ended. */
  ended: Ended["why"] | undefined;
  #seen = 0;

  constructor(node: ConsoleNode, charset: Charset = "utf8") {
    this.node = node;
    this.output.on("data", (chunk) => {
      this.raw += String(chunk);
    });
    this.screen = new Screen(this.output, charset);
    this.keyboard = new Keyboard(this.input, (text) => this.screen.raw(text));
  }

  get #parts() {
    const { node, screen, keyboard, clock } = this;
    return { node, screen, keyboard, clock, mayLeave: false };
  }

  /** Somebody is logged in. */
  as(name: string, role: Operator["role"] = "operator"): this {
    void converse(this.#parts, { name, role }).then(
      () => {
        this.ended = "end-of-input";
      },
      (thrown: unknown) => this.#over(thrown),
    );
    return this;
  }

  /** Asks for name and PIN, again and again. */
  open(failures = { count: 0 }): this {
    const login = new Login(() => this.node.operators(), {
      read: () => failures.count,
      write: (count) => {
        failures.count = count;
      },
    });
    const serve = async (): Promise<never> => {
      for (;;) await converse(this.#parts, await logIn(this.#parts, login));
    };
    serve().catch((thrown: unknown) => this.#over(thrown));
    return this;
  }

  #over(thrown: unknown): void {
    if (!(thrown instanceof Ended)) throw thrown;
    this.ended = thrown.why;
  }

  type(text: string | Uint8Array): void {
    this.input.write(text);
  }

  /** What is on the screen since the last call, up to what is waited for. */
  async shows(what: string | RegExp): Promise<string> {
    const fits = (text: string) => (typeof what === "string" ? text.includes(what) : what.test(text));
    await until(`the console shows ${what}`, () => fits(this.#text)).catch((thrown: unknown) => {
      throw new Error(`it shows ${JSON.stringify(this.#text.slice(-400))}`, { cause: thrown });
    });
    const text = this.#text;
    const length = typeof what === "string" ? text.indexOf(what) + what.length : lengthTo(text, what);
    this.#seen += length;
    return text.slice(0, length);
  }

  get #text(): string {
    return this.raw.replaceAll(SEQUENCE, "").slice(this.#seen);
  }

  /** Gives a command and waits for the prompt after it; what was shown between. */
  async command(text: string): Promise<string> {
    this.type(`${text}\r`);
    await this.shows("\r\n");
    return (await this.shows(PROMPT)).replace(PROMPT, "");
  }

  async hangUp(): Promise<void> {
    this.input.destroy();
    await settled();
  }
}

export const PROMPT = /km-a[#>] /;

function lengthTo(text: string, what: RegExp): number {
  const found = what.exec(text);
  return found === null ? 0 : found.index + found[0].length;
}
