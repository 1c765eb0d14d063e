// Loads @peculiar/x509, which wants three functions of the decorator metadata proposal on Reflect.

type Key = string | symbol;

/** The library; loaded once, with the functions it misses. */
export async function loadX509(): Promise<typeof import("@peculiar/x509")> {
  const own = new WeakMap<object, Map<Key | undefined, Map<unknown, unknown>>>();
  const getOwnMetadata = (key: unknown, target: object, property?: Key): unknown =>
    own.get(target)?.get(property)?.get(key);
  const getMetadata = (key: unknown, target: object, property?: Key): unknown => {
    for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at)) {
      const value = getOwnMetadata(key, at, property);
      if (value !== undefined) return value;
    }
    return undefined;
  };
  const defineMetadata = (key: unknown, value: unknown, ...[target, property]: [object, Key?]): void => {
    const members = own.get(target) ?? new Map<Key | undefined, Map<unknown, unknown>>();
    const values = members.get(property) ?? new Map<unknown, unknown>();
    own.set(target, members.set(property, values.set(key, value)));
  };
  if (!("getMetadata" in Reflect)) Object.assign(Reflect, { getOwnMetadata, getMetadata, defineMetadata });
  return import("@peculiar/x509");
}
