// How the KMs of a network are asked.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { NetworkState } from "../../src/view/network-state.ts";
import { type After, poll } from "../../src/view/poller.ts";
import { noteRelay, type Simulated, simulatedNetwork } from "./simulated.ts";

let net: Simulated;
let state: NetworkState;
let asked: { readonly km: string; readonly after: After }[];
let stop: AbortController;
let polled: Promise<void>;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  net = simulatedNetwork(2);
  state = new NetworkState(net.shape, Date.now());
  asked = [];
  stop = new AbortController();
  noteRelay(net.km("km-001"), "km-002", "ready");
  const ask = (km: string, after: After) => {
    asked.push({ km, after });
    return net.ask(km, after);
  };
  polled = poll(net.shape, ask, state, stop.signal);
});
afterEach(async () => {
  stop.abort();
  await polled;
  vi.useRealTimers();
});

/** Each KM is asked once in it. */
const aSecond = () => vi.advanceTimersByTimeAsync(1_000);

const relays = () => {
  state.refresh(Date.now());
  return state.snapshot().relays.length;
};
const questions = (km: string) => asked.filter((one) => one.km === km);

test("each is asked for what is new, and from the beginning again when its process is another one", async () => {
  await aSecond();
  expect(questions("km-001").map(({ after }) => after.relays)).toEqual([0, 1]);
  expect(relays()).toBe(1);
  net.km("km-001").node.started_at = "2026-02-02T00:00:00.000Z";
  await aSecond();
  expect(questions("km-001").map(({ after }) => after.relays)).toEqual([0, 1, 1, 0]);
  expect(relays()).toBe(2);
});

test("one that does not answer is silent with its reason, and heard again when it does", async () => {
  net.km("km-002").silence = "connect ECONNREFUSED";
  const km2 = () => {
    state.refresh(Date.now());
    return state.snapshot().kms[1];
  };
  await aSecond();
  expect(km2()?.why).toBe("connect ECONNREFUSED");
  net.km("km-002").silence = undefined;
  await aSecond();
  expect(km2()?.state).toBe("ready");
});
