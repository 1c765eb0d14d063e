// Tests of src/console/commands/command.ts and commands.ts: what a person types becomes a command of the table, or a word why not.

import { describe, expect, test } from "vitest";
import { allowedTo, tokensOf, understood, usageOf } from "../../../src/console/commands/command.ts";
import { COMMANDS } from "../../../src/console/commands/commands.ts";

const typed = (line: string): string => {
  const found = understood(COMMANDS, tokensOf(line));
  return "problem" in found ? found.problem : [usageOf(found.command), ...found.args].join(" | ");
};

describe("the table", () => {
  test("has each command once, and none whose words begin another's", () => {
    const all = COMMANDS.map(({ words }) => words.join(" "));
    expect(new Set(all).size).toBe(all.length);
    for (const one of all) expect(all.filter((other) => other.startsWith(`${one} `))).toEqual([]);
  });

  test("lets auditors give no command that changes the node", () => {
    expect(allowedTo("auditor", COMMANDS).filter(({ changes }) => changes)).toEqual([]);
    expect(allowedTo("operator", COMMANDS)).toEqual(COMMANDS);
  });

  test("says of every command in one line what it does, so that the list fits the screen", () => {
    for (const { about, args } of COMMANDS) {
      expect(about.length).toBeLessThan(70);
      expect(about).toMatch(/^[a-zQ].*[^.]$/);
      const optional = args.findIndex((argument) => argument.optional);
      expect(args.slice(optional < 0 ? args.length : optional).every((argument) => argument.optional)).toBe(true);
    }
  });
});

describe("what is typed", () => {
  test("is the command whose words it is, in full or cut short as long as one fits", () => {
    expect(typed("show links")).toBe("show links");
    expect(typed("sh li")).toBe("show links");
    expect(typed("  sho \t l  ")).toBe("show links");
    expect(typed("li d ab")).toBe("link down LINK | ab");
    expect(typed("show st")).toBe("st may be status, stock");
    expect(typed("show sto")).toBe("show stock");
    expect(typed("l")).toBe("l may be link, logs, logout");
    expect(typed("set l d")).toBe("set log-level LEVEL | debug");
  });

  test("is refused with what is wrong: unknown, incomplete, too much, none of a choice", () => {
    expect(typed("nonsense")).toBe("unknown: nonsense");
    expect(typed("show nonsense")).toBe("unknown: nonsense");
    expect(typed("show")).toBe("incomplete");
    expect(typed("link up")).toBe("LINK is missing");
    expect(typed("watch this now")).toBe("too much: this now");
    expect(typed("set pager o")).toBe("o is none of on, off");
    expect(typed("SHOW links")).toBe("unknown: SHOW");
  });

  test("keeps names as they are: a link's ID is never cut short, and no word of the language is special", () => {
    expect(typed("link up constructor")).toBe("link up LINK | constructor");
    expect(typed("__proto__")).toBe("unknown: __proto__");
    expect(typed("show constructor")).toBe("unknown: constructor");
  });
});
