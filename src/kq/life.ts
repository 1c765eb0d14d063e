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
