// Two applications that share keys: app-a1 asks its key manager, app-c1 gets the same from its own.

import { type AkClientOptions, AkRefusal, appId, connectAk, type IncomingSession, type SuppliedKey } from "qkm";

/** What an application does with a key. The bytes are lent: they are zero when it is done. */
export type Use = (keyId: string, bytes: Uint8Array) => void;

function useUp(key: SuppliedKey, use: Use): void {
  using supplied = key;
  supplied.key.lend((bytes) => use(supplied.keyId, bytes));
}

/** app-a1 gets keys on demand, and returns their IDs, which it tells app-c1 by its own means: they are no secret. */
export async function getKeys(options: AkClientOptions, use: Use): Promise<string[]> {
  await using client = await connectAk(options);
  const ask = () => client.getKeys({ destination: appId("app-c1"), count: 2, sizeBits: 256 });
  const keys = await ask().catch(async (thrown: unknown) => {
    // Too little key at hand, a quota spent: the key manager says when it is worth to ask again.
    if (!(thrown instanceof AkRefusal) || thrown.retryAfterMs === undefined) throw thrown;
    await new Promise((resolve) => setTimeout(resolve, thrown.retryAfterMs));
    return ask();
  });
  for (const key of keys) useUp(key, use);
  return keys.map(({ keyId }) => keyId);
}

/** app-c1 gets the same keys by their IDs, each once. */
export async function getTheSame(options: AkClientOptions, keyIds: readonly string[], use: Use): Promise<void> {
  await using client = await connectAk(options);
  for (const key of await client.getKeysById({ initiator: appId("app-a1"), keyIds })) useUp(key, use);
}

/** app-a1 opens a session with app-c1, which has each key before it comes here. Nobody has to tell IDs. */
export async function talk(options: AkClientOptions, use: Use): Promise<void> {
  await using client = await connectAk(options);
  const session = await client.openSession({ destination: appId("app-c1"), maxKeys: 4 });
  for (let round = 0; round < 2; round++) {
    for (const key of await session.getKeys({ count: 2 })) useUp(key, use);
  }
}

/** app-c1 waits for a session of app-a1 and takes so many keys in it. */
export async function listen(options: AkClientOptions, count: number, use: Use): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<IncomingSession>();
  await using _client = await connectAk({
    ...options,
    onSession: (offer) => {
      if (offer.initiator === "app-a1") resolve(offer.accept());
      else offer.refuse("only app-a1 is known here");
    },
  });
  let left = count;
  for await (const pushed of await promise) {
    // Taking a key acknowledges it: from now on app-a1 may get it too.
    useUp(pushed.take(), use);
    left -= 1;
    if (left === 0) break;
  }
}
