// An application gets a key from one appliance and another fetches it from the other.

import type { App } from "../../system/support/app.ts";
import { AkDoor, type Door, EtsiDoor, Refused } from "../../system/support/doors.ts";
import { eventually } from "../../system/support/eventually.ts";
import type { Oracle } from "../../system/support/oracle.ts";

const COMES_UP_MS = 900_000;
const POLL_MS = 1_000;

const DOORS = { ak: AkDoor, etsi014: EtsiDoor } as const;

/** Waits until a key is supplied, and fetches it at the other end. @throws Error when either does not come in time */
export async function exchange(
  oracle: Oracle,
  [from, to]: readonly [App, App],
  name: Door["name"] = "ak",
): Promise<void> {
  const [asks, fetches] = [new DOORS[name](from), new DOORS[name](to)];
  const pair = { source: from.km.id, destination: to.km.id, initiator: from.id, target: to.id };
  try {
    const supplied = await answered(`${from.km.id} supplies ${from.id} with a key over ${name}`, () =>
      asks.supply(to.id, { number: 2, size: 256 }),
    );
    const keys = oracle.supplied(pair, supplied);
    const ids = keys.map(({ id }) => id);
    const fetched = await answered(`${to.km.id} gives ${to.id} the same key over ${name}`, () =>
      fetches.fetch(from.id, ids),
    );
    oracle.fetched(keys, fetched);
  } finally {
    await Promise.all([asks.disconnect(), fetches.disconnect()]);
  }
}

type Answer = Awaited<ReturnType<Door["supply"]>>;

/** Asks until there is an answer. @throws Refused for good; Error when no answer comes in time */
async function answered(what: string, ask: () => Promise<Answer>): Promise<Answer> {
  let [answer, refusal]: [Answer?, Refused?] = [];
  const attempt = async (): Promise<boolean> => {
    try {
      answer = await ask();
    } catch (thrown) {
      if (!(thrown instanceof Refused) || thrown.again) throw thrown;
      refusal = thrown;
    }
    return true;
  };
  await eventually(what, attempt, COMES_UP_MS, POLL_MS);
  if (answer === undefined) throw refusal ?? new Error(`${what}: neither answered nor refused`);
  return answer;
}
