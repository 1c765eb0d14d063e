// Who is connected, and what the key manager is told of it.

import { describe, expect, it } from "vitest";
import { kmId } from "../../src/core/ids.ts";
import { Roster } from "../../src/kx/roster.ts";
import { ManualClock, settled } from "../support/manual-clock.ts";
import { A, B, C, faultOf, offer, TestPorts } from "./fixture.ts";
import { HandPeer } from "./hand-peer.ts";
import { memoryPair } from "./memory-channel.ts";

/** km-b with the peers km-a, which dials it, and km-c, which it dials. */
function rosterOfB() {
  const ports = new TestPorts(new ManualClock());
  return {
    ports,
    roster: new Roster(
      { km: B, peers: () => [A, C].map((id) => ({ id, dialect: "extended" })), defaultKeyBits: 256 },
      ports,
    ),
  };
}

describe("Roster", () => {
  it("design 10: only a configured peer whose ID sorts first may dial", () => {
    const { roster } = rosterOfB();
    expect(["km-a", "km-b", "km-c", "km-0", "KM-A", ""].map((id) => roster.welcome(id, ""))).toEqual([
      "km-a",
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("tells of connections as they come and go", async () => {
    const { roster, ports } = rosterOfB();
    const [fromC, atC] = memoryPair(B, C);
    const [fromA, atA] = memoryPair(B, A);
    roster.attach(C, fromC);
    roster.attach(A, fromA);
    expect(roster.connected()).toEqual([A, C]);
    for (const end of [atA, atC]) new HandPeer(end).channel.close("gone");
    await settled();
    expect(roster.connected()).toEqual([]);
    expect(ports.events.happened).toEqual([
      "connected km-c #1",
      "connected km-a #2",
      "disconnected km-a #2",
      "disconnected km-c #1",
    ]);
    expect(ports.clock.waiting).toBe(0);
  });

  it("design 10: a new connection replaces the old, whose calls fail and whose end is told first", async () => {
    const { roster, ports } = rosterOfB();
    const [first] = memoryPair(B, A);
    const [second, atA] = memoryPair(B, A);
    const old = roster.attach(A, first);
    const call = old?.relay(offer({ source: B, destination: A }), 60_000) ?? Promise.resolve();
    const hand = new HandPeer(atA);
    const young = roster.attach(A, second);
    expect(ports.events.happened).toEqual(["connected km-a #1", "disconnected km-a #1", "connected km-a #2"]);
    expect(await faultOf(call)).toMatchObject({ code: "PEER_UNAVAILABLE" });
    await settled();
    expect(first.closedBecause).toBe("a new connection replaces it");
    expect(ports.events.happened).toHaveLength(3);
    const told = young?.tell([{ name: "x" }], 1_000);
    hand.answer(await hand.next(0x1103), 0x1104, { session_ID: "", key_ID: "", response: "success" });
    await told;
    expect(roster.connected()).toEqual([A]);
  });

  it("a peer that the key manager closes is told as disconnected, once, in a later turn", async () => {
    const { roster, ports } = rosterOfB();
    const [near] = memoryPair(B, A);
    roster.attach(A, near)?.close("the state exchange failed");
    expect(ports.events.happened).toEqual(["connected km-a #1"]);
    await settled();
    expect(ports.events.happened).toEqual(["connected km-a #1", "disconnected km-a #1"]);
  });

  it("its stop ends all dialogues, waits for their channels, and lets no more in", async () => {
    const { roster, ports } = rosterOfB();
    const [near, far] = memoryPair(B, A);
    const session = roster.attach(A, near);
    const call = session?.tell([{ name: "x" }], 60_000) ?? Promise.resolve();
    const stopped = roster.stop();
    expect((await faultOf(call)).code).toBe("PEER_UNAVAILABLE");
    await stopped;
    expect([near.closedBecause, far.closedBecause]).toEqual(["this key manager is stopping", "closed by the peer"]);
    const [late] = memoryPair(B, kmId("km-c"));
    expect(roster.attach(C, late)).toBeUndefined();
    await settled();
    expect(late.closedBecause).toBe("this key manager is stopping");
    expect(ports.events.happened).toEqual(["connected km-a #1", "disconnected km-a #1"]);
    expect(ports.clock.waiting).toBe(0);
  });
});
