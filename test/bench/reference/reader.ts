// Reference for intake, the KM's side: reads a terminal with serialport, counts, and tells the bytes of each second asked for.

import { SerialLine } from "../../../drivers/serial/line.ts";
import { given, ready } from "./args.ts";

export interface ReaderPlan {
  readonly path: string;
  readonly warmMs: number;
  readonly measureMs: number;
}

const { path, warmMs, measureMs } = given<ReaderPlan>();
const line = await SerialLine.open(path, 921_600);
let bytes = 0;
void line.read((chunk) => {
  bytes += chunk.length;
});
ready(0);
setTimeout(() => {
  const [before, began] = [bytes, performance.now()];
  setTimeout(() => {
    process.stdout.write(`bits/s ${((bytes - before) * 8 * 1000) / (performance.now() - began)}\n`);
  }, measureMs);
}, warmMs);
