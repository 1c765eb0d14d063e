// Who may log in: taken from the medium with PINs hashed, kept when nothing changed, refused when nobody could act.

import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Medium } from "../../../src/cli/appliance/medium.ts";
import { operatorsIn, takeOperators } from "../../../src/cli/appliance/operators.ts";
import { Screen } from "../../../src/cli/appliance/screen.ts";
import { checkPin } from "../../../src/core/pin-hash.ts";
import { makeAppliance, OPERATORS_TOML, pinsOn } from "./kit.ts";

const user = (name: string, role = "operator", pin = "123456") =>
  `[[operators]]\nname = "${name}"\nrole = "${role}"\npin = "${pin}"\n`;

describe("operators.toml", () => {
  test("is kept with hashes, and removed on the medium", async () => {
    using appliance = makeAppliance();
    appliance.put("operators.toml", OPERATORS_TOML);
    const { screen } = await appliance.provision();
    expect(screen).toContain("who may log in now: alice (operator), bob (auditor)");
    expect(pinsOn(screen)).toEqual([]);
    expect(existsSync(join(appliance.medium, "operators.toml"))).toBe(false);
    expect(statSync(appliance.places.operators).mode & 0o077).toBe(0);
    expect(readFileSync(appliance.places.operators, "utf8")).not.toMatch(/271828|twenty/);
    const [alice, bob] = operatorsIn(appliance.places) ?? [];
    expect(alice).toMatchObject({ name: "alice", role: "operator" });
    expect(await checkPin("271828", alice?.pin ?? "")).toBe(true);
    expect(bob).toMatchObject({ name: "bob", role: "auditor" });
    expect(await checkPin("twenty minus one", bob?.pin ?? "")).toBe(true);
  });

  test("replaces everybody who was there", async () => {
    using appliance = makeAppliance();
    await appliance.provision();
    appliance.put("operators.toml", user("carol"));
    await appliance.provision();
    expect(operatorsIn(appliance.places)?.map(({ name }) => name)).toEqual(["carol"]);
  });

  test("on a medium that cannot be written is not taken anew at each start, and the person is told", async () => {
    using appliance = makeAppliance();
    const medium: Medium = {
      ...{ dir: appliance.medium, text: () => OPERATORS_TOML, bytes: () => undefined, list: () => [] },
      ...{ put: () => false, destroy: () => false },
    };
    const lines: string[] = [];
    const screen = new Screen((line) => lines.push(line));
    await takeOperators(appliance.places, medium, screen);
    const kept = readFileSync(appliance.places.operators, "utf8");
    await takeOperators(appliance.places, medium, screen);
    expect(readFileSync(appliance.places.operators, "utf8")).toBe(kept);
    expect(lines.filter((line) => line.includes("remove it yourself"))).toHaveLength(2);
    const changed = { ...medium, text: () => OPERATORS_TOML.replace("271828", "314159") };
    await takeOperators(appliance.places, changed, screen);
    expect(await checkPin("314159", operatorsIn(appliance.places)?.[0]?.pin ?? "")).toBe(true);
  });

  const BAD = [
    ["nobody", "operators = []\n", "there is none"],
    ["auditors only", user("eve", "auditor"), 'none has the role "operator"'],
    ["a role that is none", user("eve", "king"), 'a role is "operator" or "auditor"'],
    ["a name that is none", user("Eve Adams"), "a name is 1 to 32 of a-z 0-9 _ -"],
    ["a name twice", user("eve") + user("eve"), "a name comes twice"],
    ["a short PIN", user("eve", "operator", "12345"), "a PIN is 6 to 64 letters"],
    ["a PIN without quotes", '[[operators]]\nname = "a"\nrole = "operator"\npin = 123456\n', "a PIN is text in quotes"],
    ["too many", Array.from({ length: 33 }, (_, at) => user(`u${at}`)).join(""), "there are more than 32"],
    ["no TOML", "operators: none\n", "line 1 is no TOML"],
  ] as const;
  test.each(BAD)("with %s is refused, and who was there stays", async (_, text, complaint) => {
    using appliance = makeAppliance();
    await appliance.provision();
    const before = readFileSync(appliance.places.operators, "utf8");
    appliance.put("operators.toml", text);
    const { screen, refused } = await appliance.provision();
    expect(screen).toContain(complaint);
    expect(screen).not.toMatch(/123456|12345\b/);
    expect(refused).toBe(1);
    expect(readFileSync(appliance.places.operators, "utf8")).toBe(before);
    expect(existsSync(join(appliance.medium, "operators.toml"))).toBe(true);
  });
});

test("a list that was spoilt is put aside, and one operator with a new PIN can log in", async () => {
  using appliance = makeAppliance();
  await appliance.provision();
  writeFileSync(appliance.places.operators, '[{"name":"x"');
  const { screen } = await appliance.provision();
  expect(screen).toContain("it is operators.json.before now");
  const [pin = ""] = pinsOn(screen);
  expect(await checkPin(pin, operatorsIn(appliance.places)?.[0]?.pin ?? "")).toBe(true);
  expect(readFileSync(`${appliance.places.operators}.before`, "utf8")).toBe('[{"name":"x"');
});
