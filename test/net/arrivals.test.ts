// Whose handshake is begun, and when: a flood that stops after ClientHello, newcomers beside it, and a crowd that ends well.

import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ARRIVAL_LIMITS, type Arrival } from "../../src/net/arrival.ts";
import { Arrivals } from "../../src/net/arrivals.ts";

const CROWD = 1_000;
/** Handshakes at once stand in the way of nothing here. */
const LIMITS = { ...ARRIVAL_LIMITS, most: 2 * CROWD, handshakes: 2 * CROWD };
const PATIENCE = { limits: LIMITS, handshakeMs: 10_000, answerMs: 600_000 };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

let ports = 0;
/** A connection as the kernel hands it over. */
function socketFrom(address: string): Socket {
  const socket = Object.assign(new EventEmitter(), {
    destroyed: false,
    remoteAddress: address,
    remotePort: ++ports,
    destroy() {
      socket.destroyed = true;
      socket.emit("close");
    },
  });
  return socket as unknown as Socket;
}

interface Door extends Disposable {
  readonly begun: Set<Arrival>;
  readonly arrivals: Arrivals;
  /** Its ClientHello is there. */
  hello(address?: string): Arrival;
}

/** What becomes of each handshake is `then`'s. */
function openDoor(then: (arrival: Arrival, arrivals: Arrivals) => void = () => {}): Door {
  const begun = new Set<Arrival>();
  const begin = (arrival: Arrival): void => {
    begun.add(arrival);
    then(arrival, arrivals);
  };
  const arrivals: Arrivals = new Arrivals(PATIENCE, { begin, refused: () => {} });
  return {
    begun,
    arrivals,
    hello(address = "127.0.0.1") {
      const arrival = arrivals.add(socketFrom(address), "X25519");
      if (arrival === undefined) throw new Error("it has gone already");
      arrivals.waits(arrival);
      return arrival;
    },
    [Symbol.dispose]: () => arrivals.close(),
  };
}

const crowd = (door: Door, addresses: number): void => {
  for (let index = 0; index < CROWD; index++) door.hello(`10.0.0.${index % addresses}`);
};

test.each([1, 100])(
  "of a flood of %i addresses few are begun once they have waited, and newcomers at once",
  async (addresses) => {
    using door = openDoor();
    crowd(door, addresses);
    const { failuresAtOnce, failuresPerS, freshMs, backlogAtOnce, backlogPerS } = LIMITS;
    await vi.advanceTimersByTimeAsync(1_000);
    const first = door.begun.size;
    expect(first).toBeGreaterThan(failuresAtOnce);
    expect(first).toBeLessThan(failuresAtOnce + (failuresPerS * freshMs) / 1_000 + backlogAtOnce + backlogPerS + 2);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(door.begun.size - first).toBeGreaterThan(0);
    expect(door.begun.size - first).toBeLessThanOrEqual(4 * backlogPerS + 1);
    // From the address of the flood itself.
    const newcomer = door.hello("10.0.0.0");
    await vi.advanceTimersByTimeAsync(1);
    expect(door.begun).toContain(newcomer);
  },
);

test("a newcomer that needs an allowance waits for that, and not for the turn of the backlog", async () => {
  using door = openDoor();
  crowd(door, 1);
  await vi.advanceTimersByTimeAsync(LIMITS.freshMs + 1);
  await vi.advanceTimersByTimeAsync(2_000);
  const burst = Array.from({ length: 80 }, () => door.hello());
  await vi.advanceTimersByTimeAsync(LIMITS.freshMs);
  const served = burst.filter((arrival) => door.begun.has(arrival)).length;
  expect(served).toBeGreaterThanOrEqual(64 + 10);
});

test("a crowd that ends well is let in as fast as its handshakes take, however long it has waited", async () => {
  const HANDSHAKE_MS = 100;
  using door = openDoor((arrival, arrivals) => {
    setTimeout(() => {
      arrivals.shown(arrival);
      arrivals.letIn(arrival, true);
    }, HANDSHAKE_MS);
  });
  crowd(door, 10);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(door.begun.size).toBe(CROWD);
});

test("room is made by who has waited for longest, not by who is refused already and would be back at once", async () => {
  using door = openDoor();
  const gone = Array.from({ length: CROWD }, () => door.hello());
  await vi.advanceTimersByTimeAsync(5_000);
  for (let index = 0; index < CROWD; index++) door.hello();
  const newcomers = Array.from({ length: CROWD / 2 }, () => door.hello());
  await vi.advanceTimersByTimeAsync(1);
  // Not those whose handshake is under way.
  const waited = gone.filter((arrival) => !door.begun.has(arrival)).slice(0, CROWD / 2);
  expect(waited.every(({ socket }) => socket.destroyed)).toBe(true);
  expect(newcomers.some(({ socket }) => socket.destroyed)).toBe(false);
});
