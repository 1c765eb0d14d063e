// One person at the console, from login to log-out: what commands are given to work with.

import type { Clock } from "../core/ports.ts";
import type { Command } from "./commands/command.ts";
import type { ConsoleNode } from "./node.ts";
import type { Operator } from "./operators.ts";
import type { Keyboard } from "./terminal/keyboard.ts";
import type { Screen } from "./terminal/screen.ts";
import type { Histories } from "./terminal/sparkline.ts";

/** What a person may turn with `set`, until log-out. */
export interface Settings {
  idleMinutes: number;
  /** Long output waits for a key after each page. */
  pager: boolean;
}

/** One operator at one terminal, logged in. */
export interface Session {
  readonly node: ConsoleNode;
  readonly user: Pick<Operator, "name" | "role">;
  /** What this person may give. */
  readonly commands: readonly Command[];
  readonly screen: Screen;
  readonly keyboard: Keyboard;
  readonly settings: Settings;
  readonly clock: Clock;
  /** Link rates since the login. */
  readonly rates: Histories;
  /** Aborts with Ended: at log-out, hang-up, idle end, and when the person interrupts the command. */
  readonly signal: AbortSignal;
  /** Shows lines of text, a page at a time. @throws Ended */
  print(lines: readonly string[]): Promise<void>;
  /** Asks for a line. @throws Ended */
  ask(prompt: string): Promise<string>;
  /** Ends the session after this command. */
  logOut(): void;
}
