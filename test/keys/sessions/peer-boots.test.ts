// A peer's start is told apart from its reconnecting.

import { expect, test } from "vitest";
import type { KmId } from "../../../src/core/ids.ts";
import { bootEntry, PeerBoots } from "../../../src/keys/sessions/peer-boots.ts";

const [A, B] = ["km-a", "km-b"] as KmId[] as [KmId, KmId];

test("a peer is new when its word for the start has changed, each on its own", () => {
  const boots = new PeerBoots();
  const heard = (peer: KmId, boot: string): boolean => boots.isNew(peer, bootEntry({ boot, generation: 0 }));
  expect([heard(A, "1"), heard(B, "9"), heard(A, "1"), heard(A, "2"), heard(B, "9"), heard(A, "2")]).toEqual([
    false,
    false,
    false,
    true,
    false,
    false,
  ]);
});

test("other entries tell nothing of it, and a malformed one is refused", () => {
  const boots = new PeerBoots();
  expect(boots.isNew(A, { name: "qkm_state", boot: "1" })).toBe(false);
  expect(() => boots.isNew(A, { name: "qkm_boot" })).toThrow('wrong or missing "boot"');
});
