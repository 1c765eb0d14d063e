// Which keys of a push an application has acknowledged, by the IDs of its answers.

import { expect, test } from "vitest";
import { AK } from "../../src/ak/messages.ts";
import { Push } from "../../src/ak/push.ts";
import type { SessionId } from "../../src/keys/ports/sessions.ts";

test("8.2.8: a key ID in upper case acknowledges the same key", async () => {
  const ids = ["00000000-0100-8c02-83ff-ffffffffffff", "00000000-0100-8e02-83ff-ffffffffffff"];
  const push = new Push("s-1" as SessionId, ids);
  const [first = "", second = ""] = ids;
  const extension = [{ name: "key_IDs", key_IDs: [second.toUpperCase()] }];
  const answer = { session_ID: "s-1", key_ID: first.toUpperCase(), response: "success", extension };
  expect(push.heard(AK.proactiveSupplyResponse.code, answer)).toBe("all");
  expect(await push.acknowledged).toEqual(ids);
});
