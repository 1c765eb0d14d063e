// The people that may log in, as the node's folder has them: `[{"name": …, "role": …, "pin": "scrypt$…"}]`.

/** Whoever may change something, and whoever may look. */
export const ROLES = ["auditor", "operator"] as const;

/** What an operator may do. */
export type Role = (typeof ROLES)[number];

/** One line of the operators' file. */
export interface Operator {
  readonly name: string;
  readonly role: Role;
  /** Its hash. */
  readonly pin: string;
}

/** An operator may do all that an auditor may. */
export const mayAct = (role: Role, needed: Role): boolean => ROLES.indexOf(role) >= ROLES.indexOf(needed);

/** @throws Error when the text is none that was written for this, saying what is wrong, and never a hash */
export function readOperators(text: string): readonly Operator[] {
  const list: unknown = parsed(text);
  if (!Array.isArray(list)) throw new Error("operators.json is no list of operators");
  return list.map((entry: unknown, at) => {
    if (!isOperator(entry)) throw new Error(`operators.json: entry ${at + 1} has no name, role and pin`);
    return { name: entry.name, role: entry.role, pin: entry.pin };
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("operators.json is no JSON");
  }
}

function isOperator(entry: unknown): entry is Operator {
  if (typeof entry !== "object" || entry === null) return false;
  const { name, role, pin } = entry as Partial<Operator>;
  return typeof name === "string" && ROLES.some((one) => one === role) && typeof pin === "string";
}
