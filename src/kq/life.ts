// The life cycles of both ends: one field, one table each.

/** The KM's end. */
export const HOST_LIFE = {
  down: { attached: "calling" },
  calling: { agreed: "open", detached: "down" },
  open: { lost: "calling", detached: "down" },
} as const;

/** The module's end. */
export const MODULE_LIFE = {
  down: { attached: "calling" },
  calling: { called: "answered", detached: "down" },
  answered: { called: "answered", agreed: "open", lost: "calling", detached: "down" },
  open: { called: "answered", lost: "calling", detached: "down" },
} as const;

type Table = Readonly<Record<string, Readonly<Record<string, string>>>>;
type EventOf<T extends Table> = { [S in keyof T]: keyof T[S] }[keyof T];

/** The state after `event`. @throws Error when the table has no such step */
export function step<T extends Table>(table: T, state: keyof T, event: EventOf<T>): keyof T {
  const next = table[state]?.[event as string];
  if (next === undefined) throw new Error(`${String(event)} cannot happen while ${String(state)}`);
  return next;
}
