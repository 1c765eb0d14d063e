// The board that a command line names.

import type { Board } from "../../boards/board.ts";
import { BOARDS } from "../../boards/index.ts";
import { CommandError, EXIT } from "./common/exit.ts";

/** @throws CommandError naming the boards that there are */
export function boardOf(name: string): Board {
  const found = Object.entries<Board>(BOARDS).find(([known]) => known === name);
  if (found !== undefined) return found[1];
  throw new CommandError(EXIT.usage, `there is no board "${name}"; there is ${Object.keys(BOARDS).join(", ")}.`);
}
