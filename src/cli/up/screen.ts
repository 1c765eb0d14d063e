// The live table of `qkm up` on a terminal: links, KMs, what went wrong, and what to try.

import { coloured } from "../common/colours.ts";
import { fitted } from "../common/columns.ts";
import { type KmView, kmTable, LEGEND, linkTable, memberTable } from "../common/report-tables.ts";
import type { RecentFault } from "./running.ts";

/** What the live table shows, at one moment. */
export interface ScreenView {
  readonly dir: string;
  readonly upSeconds: number;
  readonly kms: readonly KmView[];
  readonly faults: readonly RecentFault[];
  /** Commands to try. */
  readonly commands: readonly string[];
  /** Opens the view in a browser; undefined when there is none. */
  readonly view: string | undefined;
}

const FAULTS_SHOWN = 3;
const CLOCK = { hour12: false } as const;

/** The lines of the screen, each of 80 columns at most. */
export function drawScreen({ dir, upSeconds, kms, faults, commands, view }: ScreenView): string[] {
  const recent = faults.slice(-FAULTS_SHOWN).map(({ at, where, sentence }) => {
    return `${at.toLocaleTimeString("en", CLOCK)}  ${where}  ${sentence}`;
  });
  const members = memberTable(kms);
  const sections = [
    [`qkm reference network   up ${duration(upSeconds)}   Ctrl-C ends it`, dir],
    linkTable(kms),
    kmTable(kms),
    ...(members.length === 0 ? [] : [members]),
    ["what it shows", ...LEGEND.map((line) => `  ${line}`)],
    ["recent faults", ...(recent.length === 0 ? ["none"] : recent).map((line) => `  ${line}`)],
    ...(view === undefined ? [] : [["look at it in a browser (the link works once)", `  ${view}`]]),
    ["try, in another terminal", ...commands.map((line) => `  ${line}`)],
  ];
  return sections.flatMap((section) => [...section, ""]).map(fitted);
}

/** Such as 1:02:03. */
function duration(seconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
}

const ESC = "\x1b[";
/** The terminal's other page, without a cursor; back to the first at the end. */
export const OPEN_SCREEN = `${ESC}?1049h${ESC}?25l`;

/** Gives the terminal back: cursor shown, main screen. */
export const CLOSE_SCREEN = `${ESC}?25h${ESC}?1049l`;

/** Draws over what is there, without a flicker. */
export const paint = (lines: readonly string[]): string =>
  `${ESC}H${lines.map((line) => `${coloured(line)}${ESC}K`).join("\r\n")}${ESC}J`;
