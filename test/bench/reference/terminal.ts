// Reference for intake, the module's side: writes constant bytes to a pseudo-terminal as fast as it takes them.

import { Pty } from "../../../drivers/simulator/pty.ts";
import { given, ready } from "./args.ts";

export interface TerminalPlan {
  readonly path: string;
}

const CHUNK_BYTES = 32_768;

const pty = await Pty.open(given<TerminalPlan>().path);
const chunk = Buffer.alloc(CHUNK_BYTES, "A");
const fill = () => {
  while (pty.write(chunk));
};
pty.start({ received: () => {}, drained: fill });
fill();
ready(0, () => pty[Symbol.asyncDispose]());
