// docs/ak.md and docs/frames.md against the tables; `npx vitest run test/ak/manual.test.ts -u` writes them.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { AK } from "../../src/ak/messages.ts";
import { REFUSALS } from "../../src/net/refusal.ts";
import { framesPage, messageTables, withRegions } from "../kx/manual.ts";

const page = (name: string): URL => new URL(`../../docs/${name}`, import.meta.url);

const HEAD = ["| `connections_refused` reason | what it means |", "| --- | --- |"];

interface Vector {
  readonly message: keyof typeof AK;
  readonly hex: string;
}

function workedFrames(): string {
  const vectors: readonly Vector[] = JSON.parse(readFileSync(new URL("../vectors/ak.json", import.meta.url), "utf8"));
  return framesPage(
    vectors.map(({ message, hex }) => ({ title: `${message}, ${AK[message].clause}`, bytes: Buffer.from(hex, "hex") })),
  );
}

test("docs/ak.md has the messages as they are", async () => {
  const path = page("ak.md");
  const made = withRegions(readFileSync(path, "utf8"), { messages: messageTables(AK), frames: workedFrames() });
  await expect(made).toMatchFileSnapshot(path.pathname);
});

test("docs/frames.md has the reasons of refusals as they are", async () => {
  const path = page("frames.md");
  const refusals = Object.entries(REFUSALS).map(([reason, sentence]) => `| \`${reason}\` | ${sentence} |`);
  const made = withRegions(readFileSync(path, "utf8"), { refusals: [...HEAD, ...refusals, ""].join("\n") });
  await expect(made).toMatchFileSnapshot(path.pathname);
});
