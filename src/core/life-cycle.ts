// A life cycle as data: one field for the state, one table for what may happen in each.

type Table = Readonly<Record<string, Readonly<Record<string, string>>>>;
type EventOf<T extends Table> = { [S in keyof T]: keyof T[S] }[keyof T];

/** The state after `event`. @throws Error when the table has no such step */
export function step<T extends Table>(table: T, state: keyof T, event: EventOf<T>): keyof T {
  const next = table[state]?.[event as string];
  if (next === undefined) throw new Error(`${String(event)} cannot happen while ${String(state)}`);
  return next;
}
