// Makes the table of docs/console.md; `npx vitest run test/console/manual.test.ts -u` writes it.

import { usageOf } from "../../src/console/commands/command.ts";
import { COMMANDS } from "../../src/console/commands/commands.ts";

const [OPEN, CLOSE] = ["<!-- commands -->", "<!-- /commands -->"];

/** The document with what is between the markers made anew. @throws Error when a marker misses */
export function withCommands(document: string): string {
  const [from, to] = [document.indexOf(OPEN), document.indexOf(CLOSE)];
  if (from < 0 || to < from) throw new Error("the markers of the commands are missing");
  const rows = COMMANDS.map((command) => {
    const { role, about, more, args, changes } = command;
    const meanings = args.map(({ name, about: meaning, choice }) =>
      choice === undefined ? `\`${name}\`: ${meaning}` : `\`${name}\`: ${choice.join(", ")}`,
    );
    const all = [about, ...(more === undefined ? [] : [more.replace(/\.$/, "")]), ...meanings].join(". ");
    return `| \`${usageOf(command)}\` | ${role}${changes ? " *" : ""} | ${all} |`;
  });
  const table = ["| command | who | what it does |", "| --- | --- | --- |", ...rows].join("\n");
  return `${document.slice(0, from)}${OPEN}\n\n${table}\n\n${document.slice(to)}`;
}
