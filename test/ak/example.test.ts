// The example of docs/client.md, run as it stands there; `npx vitest run test/ak/example.test.ts -u` copies it.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { kmId } from "../../src/core/ids.ts";
import { withRegions } from "../kx/manual.ts";
import { material } from "../support/certificates.ts";
import { until } from "../support/until.ts";
import { type AkDoor, openAk, papers } from "./ak-kit.ts";
import { getKeys, getTheSame, listen, talk, type Use } from "./example.ts";
import { FakeGrant } from "./fake-door.ts";

test("docs/client.md has the example as it is", async () => {
  const path = new URL("../../docs/client.md", import.meta.url);
  const example = readFileSync(new URL("example.ts", import.meta.url), "utf8");
  const made = withRegions(readFileSync(path, "utf8"), { example: `\`\`\`ts\n${example}\`\`\`\n` });
  await expect(made).toMatchFileSnapshot(path.pathname);
});

/** A key manager at which both applications are at home, so far as the example needs it. */
function joinBothEnds({ keys, sessions }: AkDoor): void {
  let number = 0;
  keys.meet = (request, answer) => {
    answer.granted(new FakeGrant(1, "keyIds" in request ? request.keyIds.map(() => 32) : [32, 32]));
  };
  const lineOf = (app: string) => sessions.lines.find((line) => line.app === app);
  sessions.meetCreation = async ({ app: initiator, destination, applicationName, budget }, answer) => {
    const creation = { sessionId: "s-1", initiator, destination, applicationName, budget };
    await lineOf(destination)?.notify(creation, 5000);
    answer.opened("s-1", kmId("km-a"));
  };
  sessions.meetWish = async ({ count }, answer) => {
    number += 1;
    const sizes = Array<number>(count).fill(32);
    expect(await lineOf("app-c1")?.push("s-1", new FakeGrant(number, sizes), 5000)).toHaveLength(count);
    answer.granted(new FakeGrant(number, sizes));
  };
}

test("both ends of the example get the same keys, on demand and in a session", async () => {
  const own = await papers();
  await using door = await openAk(own);
  joinBothEnds(door);
  const { host, port } = door.listener;
  const [a1, c1] = [own.a1, own.c1].map((app) => ({ host, port, km: kmId("km-a"), tls: material(app, own.kms) }));
  if (a1 === undefined || c1 === undefined) throw new Error("two applications are needed");
  const used: [string[], string[]] = [[], []];
  const [byA, byC] = used.map(
    (list): Use =>
      (keyId, bytes) => {
        list.push(`${keyId} ${Buffer.from(bytes).toString("hex")}`);
      },
  );
  if (byA === undefined || byC === undefined) throw new Error("two applications are needed");

  await getTheSame(c1, await getKeys(a1, byA), byC);
  expect(used[0]).toHaveLength(2);
  expect(used[1]).toEqual(used[0]);

  const listening = listen(c1, 4, byC);
  await until("app-c1 listens", () => door.sessions.lines.some(({ app }) => app === "app-c1"));
  await Promise.all([talk(a1, byA), listening]);
  expect(used[0]).toHaveLength(6);
  expect(used[1]).toEqual(used[0]);
});
