// docs/kx.md against the tables and the bytes; `npx vitest run test/kx/manual.test.ts -u` writes it.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { KX } from "../../src/kx/messages.ts";
import { byCode } from "../../src/wire/message.ts";
import { handFrame, handParse } from "./hand-peer.ts";
import { regions, withRegions, workedFrames } from "./manual.ts";

const PAGE = new URL("../../docs/kx.md", import.meta.url);

it("the page has the tables and frames as they are", async () => {
  const page = readFileSync(PAGE, "utf8");
  await expect(withRegions(page, await regions())).toMatchFileSnapshot(PAGE.pathname);
});

it("Q.4163 8: every message has a worked frame, and these are the bytes that the tables and appendix I say", async () => {
  const frames = await workedFrames();
  const codes = new Set(frames.map(({ bytes }) => bytes.readUInt16BE(6)));
  expect([...codes].sort()).toEqual([...byCode(KX).keys()].sort());
  for (const { bytes } of frames) {
    const { code, messageId, json } = handParse(bytes);
    expect(bytes.toString("hex")).toBe(handFrame(code, messageId, json).toString("hex"));
  }
});

it("every entry that the page describes is shown as JSON that parses", () => {
  const page = readFileSync(PAGE, "utf8");
  const examples = [...page.matchAll(/^ {4}(\{"name":.*\})$/gm)].map(
    ([, text]) => JSON.parse(text ?? "") as { name: string },
  );
  const names = new Set(examples.map(({ name }) => name));
  expect([...names].sort()).toEqual([
    "qkm_arrived",
    "qkm_confirm",
    "qkm_failed_at",
    "qkm_given_up",
    "qkm_marks",
    "qkm_state",
  ]);
});
