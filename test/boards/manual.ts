// Makes the tables of docs/boards.md; `npx vitest run test/boards/manual.test.ts -u` writes them.

import type { Board } from "../../boards/board.ts";
import { BOARDS } from "../../boards/index.ts";
import { CONDITIONS } from "../../src/device/indicators.ts";

const boards: readonly Board[] = Object.values(BOARDS);
const code = (text: string): string => `\`${text}\``;
const list = (texts: readonly string[]): string => texts.map(code).join(", ") || "–";
const table = (heads: readonly string[], rows: readonly (readonly string[])[]): string =>
  [heads, heads.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

const hex = (id: number): string => id.toString(16).padStart(4, "0");

const TABLES: Readonly<Record<string, () => string>> = {
  boards: () =>
    table(
      ["board", "processor", "what it is"],
      boards.map(({ name, architecture, about }) => [code(name), architecture, about]),
    ),
  hardware: () =>
    table(
      ["board", "console", "modules are plugged in at", "HID modules", "watchdog"],
      boards.map(({ name, console: line, consoleBaud, modulePorts, hidIds, watchdog }) => [
        code(name),
        line === undefined ? "–" : `${code(line)}, ${consoleBaud} bit/s`,
        list(modulePorts),
        list(hidIds.map(({ vendorId, productId }) => `${hex(vendorId)}:${hex(productId)}`)),
        watchdog === undefined ? "–" : `${code(watchdog.kernelModule ?? watchdog.device)}, ${watchdog.timeoutS} s`,
      ]),
    ),
  lights: () =>
    table(
      ["board", "light", ...CONDITIONS],
      boards.flatMap(({ name, indicators }) =>
        indicators.map(({ led, shows }) => [code(name), code(led), ...CONDITIONS.map((condition) => shows[condition])]),
      ),
    ),
  images: () =>
    table(
      ["board", "kernel", "starts from", "ESP, boot, system (MiB)", "data, at least (MiB)", "trial of an update"],
      boards.flatMap(({ name, image }) => {
        if (image === undefined) return [];
        const { espMiB, bootMiB, systemMiB, dataMiB } = image.storage;
        const sizes = [espMiB, bootMiB, systemMiB].join(", ");
        return [
          [
            code(name),
            code(image.kernel.package),
            code(image.boot.file),
            sizes,
            String(dataMiB),
            `${image.boot.trialS} s`,
          ],
        ];
      }),
    ),
};

/** The document with what is between `<!-- name -->` and `<!-- /name -->` made anew. @throws Error when a marker misses */
export function withBoards(document: string): string {
  return Object.entries(TABLES).reduce((text, [name, make]) => {
    const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
    const [from, to] = [text.indexOf(open), text.indexOf(close)];
    if (from < 0 || to < from) throw new Error(`the markers of ${name} are missing`);
    return `${text.slice(0, from)}${open}\n\n${make()}\n\n${text.slice(to)}`;
  }, document);
}
