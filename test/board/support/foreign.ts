// Whether this machine makes images for another processor.

import type { Board } from "../../../boards/board.ts";
import { processorOf, runForeign } from "../../../boards/image/processor.ts";
import { ImageError } from "../../../boards/image/tools.ts";

/** What keeps it from making the board's, which is printed: in many a container the kernel's binfmt_misc is out of reach. */
export function whyNotForeign(board: Board): string | undefined {
  try {
    runForeign(processorOf(board));
    return undefined;
  } catch (thrown) {
    if (!(thrown instanceof ImageError)) throw thrown;
    console.warn(`left out: ${thrown.message}`);
    return thrown.message;
  }
}
