// Who may log in at the console: from the config medium, with PINs hashed; or one operator with a new PIN.

import { existsSync, renameSync } from "node:fs";
import { join } from "node:path";
import { parse, TomlError } from "smol-toml";
import * as v from "valibot";
import { checkPin, hashPin, isPinHash } from "../../core/pin-hash.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { readText, writeWhole } from "./files.ts";
import { forget, type Medium } from "./medium.ts";
import { type AppliancePlaces, ON_MEDIUM } from "./places.ts";
import { newPin, type Screen } from "./screen.ts";

const MOST = 32;
const name = v.pipe(v.string(), v.regex(/^[a-z][a-z0-9_-]{0,31}$/, "a name is 1 to 32 of a-z 0-9 _ -"));
const role = v.picklist(["operator", "auditor"], 'a role is "operator" or "auditor"');
const users = <const Pin extends v.GenericSchema<string>>(pin: Pin) =>
  v.pipe(
    v.array(v.strictObject({ name, role, pin })),
    v.minLength(1, "there is none"),
    v.maxLength(MOST, `there are more than ${MOST}`),
    v.check((all) => new Set(all.map((one) => one.name)).size === all.length, "a name comes twice"),
    v.check((all) => all.some((one) => one.role === "operator"), 'none has the role "operator"'),
  );

const PIN = v.pipe(
  v.string("a PIN is text in quotes"),
  v.regex(/^[\x20-\x7e]{6,64}$/, "a PIN is 6 to 64 letters, digits and signs"),
);
const WRITTEN = v.strictObject({ operators: users(PIN) });
const KEPT = users(v.pipe(v.string(), v.check(isPinHash, "a PIN is not hashed")));
type Written = v.InferOutput<typeof WRITTEN>["operators"];
type Kept = v.InferOutput<typeof KEPT>;

/** The console's users. Undefined when there is no such file, or it is no list of users. */
export function operatorsIn(places: AppliancePlaces): Kept | undefined {
  const text = readText(places.operators);
  if (text === undefined) return undefined;
  try {
    return v.parse(KEPT, JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Takes the medium's `operators.toml` in the place of all users before. @throws CommandError */
export async function takeOperators(places: AppliancePlaces, medium: Medium, screen: Screen): Promise<void> {
  const text = medium.text(ON_MEDIUM.operators);
  if (text === undefined) return;
  const given = writtenIn(text, join(medium.dir, ON_MEDIUM.operators));
  if (!(await areSame(given, operatorsIn(places)))) {
    const kept: Kept = [];
    for (const one of given) kept.push({ ...one, pin: await hashPin(one.pin) });
    keep(kept, places);
    screen.say(`who may log in now: ${given.map((one) => `${one.name} (${one.role})`).join(", ")}`);
  }
  forget(medium, ON_MEDIUM.operators, screen);
}

/** Makes one operator when there is none, so that somebody can log in. */
export async function needOperator(places: AppliancePlaces, screen: Screen): Promise<void> {
  if (operatorsIn(places) !== undefined) return;
  if (existsSync(places.operators)) {
    renameSync(places.operators, `${places.operators}.before`);
    screen.refuse("the list of operators could not be read: it is operators.json.before now, and begins anew.");
  }
  const pin = newPin();
  const kept: Kept = [{ name: "operator", role: "operator", pin: await hashPin(pin) }];
  screen.showPin('console user "operator"', pin);
  keep(kept, places);
}

const keep = (kept: Kept, places: AppliancePlaces): void =>
  writeWhole(places.operators, `${JSON.stringify(kept, undefined, 2)}\n`);

function writtenIn(text: string, file: string): Written {
  const wrong = (what: string) =>
    new CommandError(EXIT.config, `${file}: ${what}; write [[operators]] with name, role and pin.`);
  try {
    return v.parse(WRITTEN, parse(text)).operators;
  } catch (thrown) {
    if (thrown instanceof TomlError) throw wrong(`line ${thrown.line} is no TOML`);
    if (!v.isValiError(thrown)) throw thrown;
    const [issue] = thrown.issues;
    throw wrong([v.getDotPath(issue) ?? "", issue.message].filter((part) => part !== "").join(": "));
  }
}

/** Whether these are the users that there are, with these PINs: a medium may stay where it is. */
async function areSame(given: Written, kept: Kept | undefined): Promise<boolean> {
  if (kept === undefined || kept.length !== given.length) return false;
  for (const [at, one] of given.entries()) {
    const other = kept[at];
    if (other === undefined || other.name !== one.name || other.role !== one.role) return false;
    if (!(await checkPin(one.pin, other.pin))) return false;
  }
  return true;
}
