// The tables of the tests, copied from Q.4161 by hand, and those of the sources are the same, row by row.

import { expect, test } from "vitest";
import { AK, AK_ANSWERS } from "../../src/ak/messages.ts";
import type { Message } from "../../src/wire/message.ts";
import { TABLES } from "./tables.ts";

/** What the standard calls the types of the sources. */
const TYPES: Readonly<Record<string, string>> = {
  String: "String",
  Integer: "Integer",
  "Integer (bits)": "Integer",
  "Array of objects": "Objects",
  "Array of { key, key_ID, key_extension? }": "Keys",
  "Array of { key_ID, key_ID_extension? }": "IDs",
};
const messages: readonly (readonly [string, Message])[] = Object.entries(AK);
const answers: Readonly<Record<string, keyof typeof AK>> = AK_ANSWERS;

test("Q.4161 8: both have the same messages, in the order of the standard's tables", () => {
  expect(TABLES.map(({ code }) => code)).toEqual(messages.map(([, { code }]) => code));
  expect(TABLES.map(({ table }) => table)).toEqual(messages.map((_, index) => index + 1));
});

test.each(messages)("Q.4161 8: %s has the parameters, needs, types, sender and answer of its table", (name, row) => {
  const table = TABLES.find(({ code }) => code === row.code);
  const inSources = Object.entries(row.parameters).map(([parameter, { need, type }]) => [
    ...[parameter, need],
    TYPES[type.name] ?? type.name,
  ]);
  const inStandard = Object.entries(table?.rows ?? {}).map(([parameter, { need, type }]) => [parameter, need, type]);
  expect(inSources).toEqual(inStandard);
  expect(row.code >> 8).toBe(table?.from === "app" ? 0x21 : 0x12);
  const answer = answers[name];
  expect(answer && AK[answer].code).toBe(table?.answeredBy);
});
