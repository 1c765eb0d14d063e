// What an app is told when it is refused, over either door.

import { expect } from "vitest";
import { AkRefusal } from "../../../src/ak/client.ts";

/** @throws when the KM supplies, or the connection breaks */
export async function akRefusal(answer: Promise<unknown>): Promise<AkRefusal> {
  const thrown = await answer.then(
    () => new Error("the KM supplied"),
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(AkRefusal);
  return thrown as AkRefusal;
}
