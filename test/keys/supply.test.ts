// Supply and fetching between two key managers, end to end in references.

import { expect, test } from "vitest";
import { ask, fetchKeys } from "./support/apps.ts";
import { Network } from "./support/network.ts";

test("Q.4161 7: what is supplied at one end is fetched by its ID at the other, the same bytes", async () => {
  const { a, b, run } = await Network.up().then((network) => ({ ...network, run: (ms: number) => network.run(ms) }));
  const supplied = ask(a.km, { app: "app-a1", to: "app-b1", count: 3 });
  await run(10);
  expect(supplied.outcome).toBe("granted");
  const fetched = fetchKeys(
    b.km,
    "app-b1",
    "app-a1",
    supplied.keys.map(({ id }) => id),
  );
  await run(10);
  expect(fetched.outcome).toBe("granted");
  expect(fetched.keys).toEqual(supplied.keys);
});
