// Conversations with our client by a key manager made of the tables alone: every message, right and wrong, whole and in pieces.

import { describe, expect, test } from "vitest";
import { Dialogue } from "../../src/ak/client/dialogue.ts";
import { Interruption } from "../../src/ak/client/failures.ts";
import { IncomingSessions } from "../../src/ak/client/incoming.ts";
import { FakeChannel } from "./fake-channel.ts";
import { handFrame, handParse } from "./hand.ts";
import { least, rightOnes, TABLES, type Table, whole, wrongOnes } from "./tables.ts";

const NEVER = new AbortController().signal;
const tableOf = (code: number): Table => {
  const found = TABLES.find((table) => table.code === code);
  if (found === undefined) throw new Error(`there is no table of ${code}`);
  return found;
};

function open(silentMs?: number) {
  const channel = new FakeChannel();
  const incoming = new IncomingSessions((offer) => void offer.accept(), { maxSessions: 4, maxWaitingKeys: 8 });
  const dialogue = new Dialogue(channel, incoming, silentMs);
  const frames = () => handParse(Buffer.concat(channel.writes)).frames;
  return { channel, incoming, dialogue, frames };
}

const ASK = {
  4611: (dialogue: Dialogue) => dialogue.ask("keyRequest", { application_destination_ID: "app-c1" }, NEVER),
  4613: (dialogue: Dialogue) =>
    dialogue.ask("sessionCreation", { application_source_ID: "app-a1", application_destination_ID: "app-c1" }, NEVER),
  4617: (dialogue: Dialogue) => dialogue.ask("sessionKeyRequest", { session_ID: "s-1" }, NEVER),
} as const;

describe.each([0x1203, 0x1205, 0x1209] as const)("the answer of code %i", (code) => {
  const table = tableOf(code);

  test.each(rightOnes(table))("$title is taken as it is", async ({ json }) => {
    const { channel, dialogue } = open();
    const asked = ASK[code](dialogue);
    channel.receive(handFrame(code, 1, json));
    const { message, keys } = await asked;
    expect(message.response).toBe("success");
    expect(keys.map(({ key }) => key.lend((bytes) => Buffer.from(bytes)))).toEqual(
      code === 0x1205 ? [] : [Buffer.alloc(32, 0x5a), Buffer.alloc(32, 0x5a)],
    );
  });

  test.each(wrongOnes(table))("$title fails its request alone", async ({ json, parameter }) => {
    const { channel, dialogue } = open();
    const asked = expect(ASK[code](dialogue)).rejects.toMatchObject({
      code: "MALFORMED_REQUEST",
      message: expect.stringContaining(parameter),
    });
    const other = ASK[code](dialogue);
    channel.receive(handFrame(code, 1, json));
    await asked;
    channel.receive(handFrame(code, 2, whole(table)));
    expect((await other).message.response).toBe("success");
  });

  test("comes twice, or to nothing: the second is dropped", async () => {
    const { channel, dialogue } = open();
    const asked = ASK[code](dialogue);
    channel.receive(Buffer.concat([9, 1, 1].map((messageId) => handFrame(code, messageId, least(table)))));
    expect((await asked).message.response).toBe("success");
    expect([dialogue.open, channel.closedBecause]).toEqual([true, undefined]);
  });

  test("cut at every byte is no answer until it is whole", async () => {
    const bytes = handFrame(code, 1, whole(table));
    for (let at = 1; at < bytes.length; at++) {
      const { channel, dialogue } = open();
      let answered = false;
      const asked = ASK[code](dialogue).then((answer) => {
        answered = true;
        return answer;
      });
      channel.receive(Buffer.from(bytes.subarray(0, at)));
      await Promise.resolve();
      await Promise.resolve();
      expect(answered).toBe(false);
      channel.receive(Buffer.from(bytes.subarray(at)));
      expect((await asked).message.response).toBe("success");
    }
  });
});

describe("0x1206", () => {
  test.each(rightOnes(tableOf(0x1206)))("$title is answered with success under its number", async ({ json }) => {
    const { channel, frames } = open();
    channel.receive(handFrame(0x1206, 77, json));
    await Promise.resolve();
    expect(frames()).toEqual([
      { version: 1, messageId: 77, code: 0x2107, json: { session_ID: "s-1", response: "success" } },
    ]);
  });

  test.each(wrongOnes(tableOf(0x1206)))("$title ends the connection", ({ json, parameter }) => {
    const { channel, dialogue } = open();
    channel.receive(handFrame(0x1206, 77, json));
    expect([dialogue.open, channel.closedBecause]).toEqual([false, expect.stringContaining(parameter)]);
  });

  test("with a name of the initiator that is none is refused", async () => {
    const { channel, frames } = open();
    channel.receive(handFrame(0x1206, 77, { ...whole(tableOf(0x1206)), application_source_ID: "a b" }));
    await Promise.resolve();
    expect(frames()[0]?.json.response).toMatch(/^MALFORMED_REQUEST: /);
  });
});

describe("0x120A", () => {
  test.each(rightOnes(tableOf(0x120a)))("$title brings its keys, each answered when it is taken", async ({ json }) => {
    const { channel, incoming, frames } = open();
    const session = incoming.resume("s-1");
    channel.receive(handFrame(0x120a, 77, json));
    const iterator = session[Symbol.asyncIterator]();
    for (const taken of [0, 1]) {
      const { value } = await iterator.next();
      expect(frames()).toHaveLength(taken);
      const key = value?.take().key.lend((bytes: Uint8Array) => Buffer.from(bytes));
      expect(key).toEqual(Buffer.alloc(32, 0x5a));
      await Promise.resolve();
      const answer = { session_ID: "s-1", key_ID: "00000000-0500-8c02-8000-000000000001", response: "success" };
      expect(frames()[taken]).toEqual({ version: 1, messageId: 77, code: 0x210b, json: answer });
    }
  });

  test.each(wrongOnes(tableOf(0x120a)))("$title ends the connection", ({ json, parameter }) => {
    const { channel, dialogue } = open();
    channel.receive(handFrame(0x120a, 77, json));
    expect([dialogue.open, channel.closedBecause]).toEqual([false, expect.stringContaining(parameter)]);
  });

  test("with a key that is not base64 ends the connection", () => {
    const { channel, dialogue } = open();
    channel.receive(handFrame(0x120a, 77, { session_ID: "s-1", keys: [{ key: "A", key_ID: "x" }] }));
    expect([dialogue.open, channel.closedBecause]).toEqual([false, expect.stringContaining("base64")]);
  });

  test("without keys is answered with nothing", async () => {
    const { channel, dialogue, frames } = open();
    channel.receive(handFrame(0x120a, 77, { session_ID: "s-1", keys: [] }));
    channel.receive(handFrame(0x120a, 77, { session_ID: "s-1", keys: [] }));
    await Promise.resolve();
    expect([dialogue.open, frames()]).toEqual([true, []]);
  });

  test("under a number that still has no whole answer ends the connection; afterwards it may come again", async () => {
    const first = open();
    const session = first.incoming.resume("s-1");
    const push = handFrame(0x120a, 5, whole(tableOf(0x120a)));
    first.channel.receive(Buffer.from(push));
    const iterator = session[Symbol.asyncIterator]();
    (await iterator.next()).value?.take();
    (await iterator.next()).value?.take();
    first.channel.receive(Buffer.from(push));
    expect(first.dialogue.open).toBe(true);
    first.channel.receive(Buffer.from(push));
    expect(first.channel.closedBecause).toContain("request 5 has no answer yet");
  });

  test("pushes beyond what may wait are refused one by one, and what is in the queue stays", async () => {
    const { channel, incoming, frames } = open();
    incoming.resume("s-1");
    for (let number = 0; number < 6; number++) channel.receive(handFrame(0x120a, number, whole(tableOf(0x120a))));
    await Promise.resolve();
    expect(frames().map(({ messageId, code }) => [messageId, code])).toEqual([
      [4, 0x210b],
      [4, 0x210b],
      [5, 0x210b],
      [5, 0x210b],
    ]);
    expect(frames()[0]?.json.response).toBe("SESSION_REFUSED: too many keys wait to be taken");
  });
});

test.each<[string, Buffer]>([
  ["a message that applications send", handFrame(0x2107, 1, { session_ID: "s", response: "success" })],
  ["an unknown code", handFrame(0x1299, 1, {})],
  ["no JSON", handFrame(0x1203, 1, "{")],
  ["no object", handFrame(0x1206, 1, "[]")],
  ["another version", Buffer.from("00020000000112030000", "hex")],
])("%s ends the connection", async (_, bytes) => {
  const { channel, dialogue } = open();
  const asked = expect(ASK[0x1203](dialogue)).rejects.toMatchObject({ name: "AkUnanswered", mayBeServed: true });
  channel.receive(bytes);
  await asked;
  expect([dialogue.open, channel.closedBecause]).toEqual([false, expect.any(String)]);
});

test("all that a key manager sends, in one stream chopped at every size, is met whole", async () => {
  const stream = Buffer.concat([
    ...[0x1206, 0x120a, 0x1203].map((code) => handFrame(code, 1, whole(tableOf(code)))),
    handFrame(0x1205, 2, whole(tableOf(0x1205))),
    handFrame(0x1209, 3, whole(tableOf(0x1209))),
  ]);
  for (let size = 1; size <= stream.length; size += size < 40 ? 1 : 37) {
    const { channel, incoming, dialogue, frames } = open();
    const asked = Promise.all([ASK[0x1203](dialogue), ASK[0x1205](dialogue), ASK[0x1209](dialogue)]);
    for (let at = 0; at < stream.length; at += size) channel.receive(Buffer.from(stream.subarray(at, at + size)));
    expect((await asked).map(({ message }) => message.response)).toEqual(["success", "success", "success"]);
    incoming.resume("s-1").close();
    await Promise.resolve();
    expect(frames().map(({ code }) => code)).toEqual([0x2101, 0x2104, 0x2108, 0x2107, 0x210b, 0x210b]);
  }
});

test("a request that waits in vain on a silent connection ends it; one that merely waits long does not", async () => {
  for (const [silentMs, closed] of [
    [0, "the key manager is silent"],
    [60_000, undefined],
  ] as const) {
    const { channel, dialogue } = open(silentMs);
    const stop = new AbortController();
    const asked = dialogue.ask("sessionKeyRequest", { session_ID: "s-1" }, stop.signal);
    stop.abort(new Interruption("it was too long"));
    await expect(asked).rejects.toMatchObject({ mayBeServed: true });
    expect(channel.closedBecause).toBe(closed);
    channel.receive(handFrame(0x1209, 1, whole(tableOf(0x1209))));
  }
});

test("requests beyond those that may be under way wait, and are sent as others are answered, or never when they end", async () => {
  const { channel, dialogue, frames } = open();
  const stop = new AbortController();
  const asked = Array.from({ length: 100 }, () => ASK[0x1209](dialogue));
  const given = dialogue.ask("sessionKeyRequest", { session_ID: "s-2" }, stop.signal);
  const last = dialogue.ask("sessionKeyRequest", { session_ID: "s-3" }, NEVER);
  stop.abort(new Error("enough"));
  await expect(given).rejects.toThrow("enough");
  expect(frames()).toHaveLength(100);
  channel.receive(handFrame(0x1209, 1, whole(tableOf(0x1209))));
  await asked[0];
  expect(frames().at(-1)?.json.session_ID).toBe("s-3");
  channel.lose();
  await expect(last).rejects.toMatchObject({ mayBeServed: true });
  const failed = await Promise.allSettled(asked);
  expect(failed.filter(({ status }) => status === "rejected")).toHaveLength(99);
});

test("replies that wait for a slow connection leave before it ends", async () => {
  const { channel, incoming, dialogue, frames } = open();
  channel.slow = true;
  void ASK[0x1203](dialogue).catch(() => {});
  const session = incoming.resume("s-1");
  channel.receive(handFrame(0x120a, 1, whole(tableOf(0x120a))));
  const iterator = session[Symbol.asyncIterator]();
  (await iterator.next()).value?.take();
  dialogue.close("done");
  expect(channel.closedBecause).toBeUndefined();
  channel.drain();
  expect(frames().map(({ code }) => code)).toEqual([0x2101, 0x210b]);
  expect(channel.closedBecause).toBe("done");
});
