// docs/kx.md against tables and vectors, the vectors against dialogues; `npx vitest run test/kx/manual.test.ts -u` writes both.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { handFrame, handParse } from "./hand-peer.ts";
import { regions, withRegions } from "./manual.ts";
import { workedVectors } from "./worked.ts";

const VECTORS = new URL("../vectors/kx.json", import.meta.url);
const PAGE = new URL("../../docs/kx.md", import.meta.url);

it("the vectors are what dialogues say", async () => {
  await expect(`${JSON.stringify(await workedVectors(), undefined, 2)}\n`).toMatchFileSnapshot(VECTORS.pathname);
});

it("Q.4163 8: they are the bytes that the tables and appendix I say", async () => {
  for (const { hex, messageId, json } of await workedVectors()) {
    const { code } = handParse(Buffer.from(hex, "hex"));
    expect(handFrame(code, messageId, json).toString("hex")).toBe(hex);
  }
});

it("the page has the tables and the vectors as they are", async () => {
  const page = readFileSync(PAGE, "utf8");
  await expect(withRegions(page, regions(await workedVectors()))).toMatchFileSnapshot(PAGE.pathname);
});

it("every entry that the page describes is shown as JSON that parses", () => {
  const page = readFileSync(PAGE, "utf8");
  const examples = [...page.matchAll(/^ {4}(\{"name":.*\})$/gm)].map(
    ([, text]) => JSON.parse(text ?? "") as { name: string },
  );
  const names = new Set(examples.map(({ name }) => name));
  expect([...names].sort()).toEqual([
    "key_IDs",
    "qkm_arrived",
    "qkm_boot",
    "qkm_border_keys",
    "qkm_border_leave",
    "qkm_border_outcome",
    "qkm_confirm",
    "qkm_failed_at",
    "qkm_given_up",
    "qkm_marks",
    "qkm_multicast",
    "qkm_multicast_void",
    "qkm_source_block",
    "qkm_state",
    "qkm_stream",
    "session_creation",
    "session_end",
  ]);
});
