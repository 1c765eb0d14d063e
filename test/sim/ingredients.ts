// What a simulated network may have beside its links and pairs: each run has some of it.

export const INGREDIENTS = {
  uneven_shares: "the two ends of a link own different parts of its blocks",
  strict_peers: "one KM more, which takes the first one for a peer of another make, and is taken for one",
  sessions: "some applications have sessions with one another",
  multicast: "some applications ask for keys that several others get, too",
  lasting_fault: "when faults end, one KM stays sick for a while: the others go on",
  silence: "at the end nobody asks and nothing arrives until everything is too old",
  uneven_calls: "calls of the vault and commits take a time of their own each: what began later may end before",
  mixed_blocks: "links have blocks of different sizes",
} as const;

export type Ingredient = keyof typeof INGREDIENTS;

export const INGREDIENT_NAMES = Object.keys(INGREDIENTS) as readonly Ingredient[];

/** Whether this run has it. */
export type Has = (name: Ingredient) => boolean;
