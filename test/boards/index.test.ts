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

test.each(boards)(
  "%s starts from the file that the firmware of its processor looks for",
  (_, { architecture, image }) => {
    const starts = image && [architecture, image.boot.platform, image.boot.file, image.boot.package];
    expect([
      undefined,
      ["amd64", "x86_64-efi", "BOOTX64.EFI", "grub-efi-amd64-bin"],
      ["arm64", "arm64-efi", "BOOTAA64.EFI", "grub-efi-arm64-bin"],
    ]).toContainEqual(starts);
  },
);

test.each(boards)("%s has its console on a terminal that is no module's, at a speed that lines have", (_, board) => {
  expect(board.modulePorts).not.toContain(board.console);
  if (board.console !== undefined) expect(board.console).toMatch(/^\/dev\/tty[A-Z]+\d+$/);
  expect([9_600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600]).toContain(board.consoleBaud);
});

test.each(boards)("%s locks less memory than an ordinary user's limit of 8 MiB", (_, board) => {
  expect(board.memory.slabBytes + board.memory.ringBytes).toBeLessThanOrEqual(6 << 20);
  expect(Math.log2(board.memory.ringBytes) % 1).toBe(0);
});
