// What must hold of a door after it was fired at.

import { expect } from "vitest";
import type { Fired } from "./doors.ts";

/** A connection may say that it is refused, and that it is closed. */
const LINES_EACH = 2;

export function expectUnharmed({ connections, logLines, asked: _asked, ...left }: Fired): void {
  expect(left).toEqual({ openGrants: 0, openLines: 0, dirtyBytes: 0, armed: 0, lent: 0, errors: [] });
  expect(logLines).toBeLessThanOrEqual(LINES_EACH * connections);
}
