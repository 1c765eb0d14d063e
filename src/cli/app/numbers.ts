// Numbers on the command line.

import { InvalidArgumentError } from "commander";

/** @throws InvalidArgumentError unless the text is a whole number above 0 */
export function whole(text: string): number {
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text);
  throw new InvalidArgumentError("It must be a whole number above 0.");
}
