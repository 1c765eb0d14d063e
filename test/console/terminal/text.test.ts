// Tests of src/console/terminal/text.ts, table.ts, spark.ts, operators.ts and escapes.ts: what prints, and what fits.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readOperators } from "../../../src/console/operators.ts";
import { Escapes } from "../../../src/console/terminal/escapes.ts";
import { Histories, sparkline } from "../../../src/console/terminal/sparkline.ts";
import { list, table } from "../../../src/console/terminal/table.ts";
import { cut, encoded, printable, WIDTH, wrapped } from "../../../src/console/terminal/text.ts";

const isPlain = (text: string) => [...text].every((one) => one >= " " && one <= "~");

describe("text", () => {
  test("of any kind drives no terminal, and is the same when it is made printable again", { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const shown = printable(text);
        expect(isPlain(encoded(shown, "ascii"))).toBe(true);
        expect(printable(shown)).toBe(shown);
      }),
    );
    expect(printable("a\x1b[2J\u{1f600}\u2028é")).toBe("a\\x1b[2J\\u{1f600}\\u{2028}\\xe9");
  });

  test("has as many columns in ASCII as with the console's own signs", () => {
    expect(encoded("▁▂▃▄▅▆▇█ – … ═ ·", "ascii")).toHaveLength("▁▂▃▄▅▆▇█ – … ═ ·".length);
  });

  test("is broken into lines that fit, and loses nothing but blanks", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme-ascii", maxLength: 120 })), fc.nat(20), (words, indent) => {
        const text = words.join(" ");
        const lines = wrapped(text, indent);
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(WIDTH);
        expect(lines.join("").replaceAll(" ", "")).toBe(text.replaceAll(" ", ""));
      }),
    );
    expect(cut("x".repeat(100))).toHaveLength(WIDTH);
  });
});

describe("a table", () => {
  test("stands in columns when it fits", () => {
    const rows = [
      ["ab", "up", ""],
      ["other", "down", "lost"],
    ];
    expect(table(["link", "line", ""], rows)).toEqual(["link   line", "ab     up", "other  down  lost"]);
    expect(table(["link"], [])).toEqual([]);
  });

  test("gives long names lines of their own, and fits whatever is in it", () => {
    const long = "x".repeat(64);
    expect(table(["link", "line", "peer"], [[long, "up", "km-b-of-the-north"]])).toEqual([
      "link",
      "  line  peer",
      long,
      "  up    km-b-of-the-north",
    ]);
    expect(table(["link", "peer", ""], [[long, long, "gone away now"]])).toEqual([
      long,
      `  peer  ${long}`,
      "  note  gone away now",
    ]);
    const cell = fc.string({ maxLength: 200 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(cell, cell, cell)),
        fc.array(fc.tuple(fc.constant("name"), cell)),
        (rows, pairs) => {
          for (const line of table(["one", "two", ""], rows)) expect(line.length).toBeLessThanOrEqual(WIDTH);
          for (const line of pairs.length > 0 ? list(pairs) : []) expect(line.length).toBeLessThanOrEqual(WIDTH);
        },
      ),
    );
  });
});

describe("rates", () => {
  test("are bars as high as they are against the highest, the newest to the right", () => {
    expect(sparkline([0, 1, 2, 7], 6)).toBe("  ▁▂▃█");
    expect(sparkline([0, 0], 2)).toBe("▁▁");
    expect(sparkline([5, 1, 1], 2)).toBe("██");
    expect(sparkline([-1, Number.NaN], 2)).toHaveLength(2);
    expect(sparkline([], 3)).toBe("   ");
  });

  test("are remembered for a screen's width and for a bounded number of names", () => {
    const rates = new Histories();
    for (let at = 0; at < 1000; at++) rates.add("ab", at);
    for (let at = 0; at < 1000; at++) rates.add(`link ${at}`, 1);
    expect(rates.of("ab")).toHaveLength(32);
    expect(rates.of("ab").at(-1)).toBe(999);
    expect(rates.of("link 999")).toEqual([]);
  });
});

describe("operators.json", () => {
  test("gives names, roles and hashes", () => {
    const one = { name: "olga", role: "operator", pin: "scrypt$x" };
    expect(readOperators(JSON.stringify([{ ...one, more: 1 }]))).toEqual([one]);
  });

  test("is refused as a whole when it is anything else, without a word of what is in it", () => {
    for (const text of ["", "{", "{}", "[1]", '[{"name":"secret"}]', '[{"name":"a","role":"root","pin":"secret"}]']) {
      expect(() => readOperators(text), text).toThrow(/^operators\.json/);
      expect(() => readOperators(text)).not.toThrow(/secret/);
    }
  });
});

describe("escape sequences", () => {
  const passed = (text: string): string => {
    const escapes = new Escapes();
    return [...text].map((one) => escapes.next(one)).join("");
  };

  test("of keys go through whole", () => {
    for (const key of ["\x1b[A", "\x1bOD", "\x1b[3~"]) expect(passed(`a${key}b`)).toBe(`a${key}b`);
  });

  test("that are none, or are cut off, swallow no line end", () => {
    expect(passed("\x1b\rx")).toBe("\rx");
    expect(passed("\x1b[\rx")).toBe("\rx");
    expect(passed("\x1b[3\r")).toBe("\r");
    expect(passed("\x1b\x1b[A")).toBe("\x1b[A");
    expect(passed("\x1b[31mred")).toBe("1mred");
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("\x1b", "[", "O", "A", "3", "~", "\r", "x") }), (text) => {
        expect(passed(text).split("\r")).toHaveLength(text.split("\r").length);
      }),
    );
  });
});
