// Asks a person before what cannot be undone.

import { createInterface } from "node:readline/promises";
import { CommandError, EXIT } from "./exit.ts";

/** @throws CommandError unless the person types `name`; `what` is a sentence that says what is destroyed */
export async function confirm(what: string, name: string): Promise<void> {
  if (!process.stdin.isTTY)
    throw new CommandError(EXIT.usage, "nobody can confirm here; say --yes to go on without asking.");
  const dialogue = createInterface({ input: process.stdin, output: process.stderr });
  const typed = await dialogue.question(`${what} Type ${name} to go on: `);
  dialogue.close();
  if (typed.trim() !== name) throw new CommandError(EXIT.failed, "nothing was done.");
}
