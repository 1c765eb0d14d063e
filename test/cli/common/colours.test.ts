// Colours: whole cells by what they mean, headings, and nothing for whoever wants none.

import { PassThrough } from "node:stream";
import { WriteStream } from "node:tty";
import { afterEach, expect, test, vi } from "vitest";
import { coloured } from "../../../src/cli/common/colours.ts";

/** A terminal, as far as anybody asks. */
const terminal = Object.assign(new PassThrough(), { isTTY: true, getColorDepth: WriteStream.prototype.getColorDepth });
const plain = new PassThrough();
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are
const CODES = /\x1b\[\d+m/g;

afterEach(() => vi.unstubAllEnvs());

function onTerminal(line: string): string {
  vi.stubEnv("TERM", "xterm-256color");
  // Each of these tells Node something else of what the terminal can show; a CI's log counts as a terminal without colours.
  for (const name of ["NO_COLOR", "FORCE_COLOR", "NODE_DISABLE_COLORS", "CI", "TEAMCITY_VERSION", "TF_BUILD"]) {
    vi.stubEnv(name, undefined);
  }
  return coloured(line, terminal);
}

test("states are coloured as whole cells, and the text stays what it is", () => {
  const line = "ab  km-a ══ km-b  up/down  ready  supply up to 5";
  const shown = onTerminal(line);
  expect(shown.replaceAll(CODES, "")).toBe(line);
  expect(shown.match(CODES)).toHaveLength(6);
  expect(shown).toContain("supply up to 5");
  expect(onTerminal("km-a  12  no answer").match(CODES)).toHaveLength(2);
});

test("headings are apart", () => {
  expect(onTerminal("link  between  line").match(CODES)).toHaveLength(2);
  expect(onTerminal("linked  list")).toBe("linked  list");
});

test("NO_COLOR, and a file or pipe in place of a terminal, have none", () => {
  const line = "km-a  12  ready";
  expect(onTerminal(line)).not.toBe(line);
  expect(coloured(line, plain)).toBe(line);
  vi.stubEnv("NO_COLOR", "1");
  expect(coloured(line, terminal)).toBe(line);
});
