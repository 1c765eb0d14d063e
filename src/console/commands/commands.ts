// The commands of the console: one table; the shell, its help and completion, and the manual follow from it.

import type { Session } from "../session.ts";
import { CHANGE } from "./change.ts";
import { type Command, usageOf } from "./command.ts";
import { SHOW } from "./show.ts";
import { SYSTEM } from "./system.ts";
import { WATCH } from "./watch.ts";

/** All commands, a line each. */
function overview({ commands }: Session): string[] {
  const width = Math.max(...commands.map((command) => usageOf(command).length)) + 2;
  return [
    ...commands.map((command) => `${usageOf(command).padEnd(width)}${command.about}`),
    "",
    "Words may be cut short (sh li). Tab completes, ? at the end tells what may follow, arrows bring back",
    "what you typed. help COMMAND tells more.",
  ];
}

/** One command in full. */
export function helpOf(command: Command): string[] {
  return [
    usageOf(command),
    `  ${command.about}${command.role === "operator" ? " (operators only)" : ""}`,
    ...(command.more === undefined ? [] : [`  ${command.more}`]),
    ...command.args.map(({ name, about, choice }) => `  ${name}: ${about}${choice ? ` (${choice.join(", ")})` : ""}`),
  ];
}

async function help(session: Session, words: readonly string[]): Promise<void> {
  if (words.length === 0) return await session.print(overview(session));
  const found = session.commands.filter((command) =>
    words.every((word, at) => command.words[at]?.startsWith(word) === true),
  );
  if (found.length === 0) throw new Error(`there is no command ${words.join(" ")}`);
  await session.print(found.flatMap(helpOf));
}

/** All commands of the console, in the order in which `help` lists them. */
export const COMMANDS: readonly Command[] = [
  ...SHOW,
  ...WATCH,
  ...CHANGE,
  ...SYSTEM,
  {
    words: ["help"],
    args: [
      { name: "COMMAND", about: "its first word", optional: true },
      { name: "WORD", about: "its second", optional: true },
    ],
    role: "auditor",
    about: "the commands, or more about one",
    run: help,
  },
  {
    words: ["logout"],
    args: [],
    role: "auditor",
    about: "end the session; Ctrl-D does the same",
    run: async ({ logOut }) => logOut(),
  },
];
