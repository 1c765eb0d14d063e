// A line so bad that long frames never arrive: pieces get shorter until blocks do, and longer again when it is well.

import { expect, onTestFinished, test } from "vitest";
import { seededRandom } from "../../drivers/simulator/material.ts";
import { noise } from "../../drivers/simulator/noise.ts";
import { Rig } from "./rig.ts";

const MINUTES_MS = 60_000;
/** Longer than any frame of a short piece, shorter than one of a usual piece. */
const LONG_BYTES = 1_000;

/** A byte in a hundred is wrong, both ways, until `well`; `long` counts long frames since then. */
class BadLine {
  readonly rig = new Rig();
  well = false;
  long = 0;

  constructor(seed: string) {
    const to = { host: noise(0.01, 0, seededRandom(`${seed} a`)), module: noise(0.01, 0, seededRandom(`${seed} b`)) };
    this.rig.hurt = (bytes, towards) => {
      if (!this.well) return [to[towards](bytes)];
      this.long += bytes
        .toString("latin1")
        .split("\0")
        .filter(({ length }) => length > LONG_BYTES).length;
      return [bytes];
    };
    onTestFinished(() => this.rig.close());
    this.rig.plug();
  }

  async deliver(first: number, count: number): Promise<void> {
    this.rig.make(1, first, count);
    expect(await this.rig.until(() => this.rig.delivered.length === first + count, 10 * MINUTES_MS)).toBe(true);
    expect(this.rig.allRight).toBe(true);
  }
}

test.each(["one", "two", "three"])(
  "with a byte in a hundred wrong every block comes, in order and once (%s)",
  async (seed) => {
    const line = new BadLine(seed);
    await line.deliver(0, 6);
    expect(line.rig.names).toEqual(["1:0", "1:1", "1:2", "1:3", "1:4", "1:5"]);
  },
);

test("when the line is well again pieces get as long as they were", async () => {
  const line = new BadLine("one");
  await line.deliver(0, 1);
  line.well = true;
  await line.deliver(1, 1);
  expect(line.long).toBe(0);
  for (let block = 2; line.long === 0 && block < 100; block++) await line.deliver(block, 1);
  expect(line.long).toBeGreaterThan(0);
});
