// What every board's data must be for `qkm init` to write a configuration from it.

import { isAbsolute } from "node:path";
import { expect, test } from "vitest";
import type { Board } from "../../boards/board.ts";
import { BOARDS } from "../../boards/index.ts";

const boards: readonly (readonly [string, Board])[] = Object.entries(BOARDS);

test.each(boards)("%s is registered under its own name", (name, board) => {
  expect(board.name).toBe(name);
});

test.each(boards)("%s names its devices and library by absolute paths", (_, board) => {
  const paths = [board.token.module, board.console, board.watchdog?.device, ...board.modulePorts];
  for (const path of paths) if (path !== undefined) expect(isAbsolute(path), path).toBe(true);
});

test.each(boards)("%s locks less memory than an ordinary user's limit of 8 MiB", (_, board) => {
  expect(board.memory.slabBytes + board.memory.ringBytes).toBeLessThanOrEqual(6 << 20);
  expect(Math.log2(board.memory.ringBytes) % 1).toBe(0);
});
